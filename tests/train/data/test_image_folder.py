from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.spec.classifier_spec import ClassifierSpec
from train.common.errors import TrainError
from train.data.image_folder import (
    ClassifyData,
    CropConfig,
    image_order,
    random_crop_xywh,
    random_image,
    read_image_folder,
)


def write_image(path: Path, image: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((20, 30, 3), 77, np.uint8) if image is None else image)


def test_classes_and_pictures_come_in_sorted_order(tmp_path: Path):
    for name in ("dog/2.jpg", "cat/b.PNG", "cat/a.jpeg", ".cache/x.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / "classes.txt").write_text("not a class")
    folder = read_image_folder(tmp_path)
    assert folder.labels == ("cat", "dog")
    assert [str(path.relative_to(tmp_path)) for path in folder.paths] == ["cat/a.jpeg", "cat/b.PNG", "dog/2.jpg"]
    assert folder.class_ids == (0, 0, 1)


def test_given_labels_fix_the_ids_and_may_be_more_than_the_folders(tmp_path: Path):
    write_image(tmp_path / "dog" / "1.jpg")
    folder = read_image_folder(tmp_path, ["cat", "dog", "eel"])
    assert (folder.labels, folder.class_ids) == (("cat", "dog", "eel"), (1,))


def _class_without_pictures(root: Path) -> None:
    write_image(root / "cat" / "1.jpg")
    (root / "dog").mkdir()


BAD = {
    "missing": (lambda root: None, "data: no such folder; expected"),
    "empty": (lambda root: root.mkdir(), "data: no class folders in it; expected"),
    "class without images": (_class_without_pictures, "dog: a class without images"),
    "unknown class": (lambda root: write_image(root / "fox" / "1.jpg"), "fox: 'fox' is none of the 2 classes"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_a_folder_of_no_use_is_named(tmp_path: Path, make, message: str):
    make(tmp_path / "data")
    with pytest.raises(TrainError, match=message):
        read_image_folder(tmp_path / "data", ["cat", "dog"])


def test_a_damaged_picture_is_named(tmp_path: Path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(b"hello")
    data = ClassifyData(read_image_folder(tmp_path), ClassifierSpec(("cat",), (32, 32)))
    with pytest.raises(TrainError, match=r"cat/1\.jpg: missing or not an image"):
        data[0]


SIDES = st.integers(1, 200)


@given(
    size_wh=st.tuples(SIDES, SIDES),
    area=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted).map(tuple),
    aspect=st.floats(1, 4),
    seed=st.integers(0, 1000),
)
def test_a_random_crop_lies_within_the_picture(size_wh, area, aspect, seed):
    x, y, w, h = random_crop_xywh(size_wh, CropConfig(area=area, aspect=aspect), np.random.default_rng(seed))
    assert w >= 1 and h >= 1 and x >= 0 and y >= 0
    assert x + w <= size_wh[0] and y + h <= size_wh[1]


def test_random_crops_have_the_areas_and_aspects_asked_for():
    """In an image so large that rounding does not matter, with crops so small that none is cut."""
    config, rng = CropConfig(area=(0.1, 0.4), aspect=2.0), np.random.default_rng(0)
    crops = np.array([random_crop_xywh((4000, 2000), config, rng) for _ in range(2000)])
    x, _, w, h = crops.T
    areas, aspects = w * h / 8e6, w / h / 2
    assert (areas.min(), areas.max(), areas.mean()) == pytest.approx((0.1, 0.4, 0.25), abs=0.01)
    assert (aspects.min(), aspects.max()) == pytest.approx((0.5, 2.0), abs=0.02)
    assert np.median(x / (4000 - w)) == pytest.approx(0.5, abs=0.03), "every place is as likely"


def test_only_what_the_options_allow_happens():
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), np.uint8)
    calm = CropConfig(area=(1.0, 1.0), aspect=1.0, flip=0.0, colour=0.0)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(random_image(image, calm, rng), image)
    mirrored = CropConfig(area=(1.0, 1.0), aspect=1.0, flip=1.0, colour=0.0)
    np.testing.assert_array_equal(random_image(image, mirrored, rng), image[:, ::-1])
    coloured = CropConfig(area=(1.0, 1.0), aspect=1.0, flip=0.0, colour=1.0)
    assert (random_image(image, coloured, rng) != image).mean() > 0.5


def test_a_view_depends_on_seed_epoch_and_picture_alone(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for name in ("1.png", "2.png"):
        write_image(tmp_path / "cat" / name, image)
    folder, spec = read_image_folder(tmp_path), ClassifierSpec(("cat",), (32, 32))

    def view(index: int, seed: int = 0, epoch: int = 0) -> np.ndarray:
        blob, class_id = ClassifyData(folder, spec, CropConfig(), seed, epoch)[index]
        assert (blob.shape, blob.dtype, class_id) == ((3, 32, 32), np.float32, 0)
        return blob

    np.testing.assert_array_equal(view(0), view(0))
    for other in (view(1), view(0, seed=1), view(0, epoch=1)):
        assert not np.array_equal(view(0), other)


def test_each_epoch_has_every_picture_once_in_its_own_order():
    orders = [image_order(50, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert image_order(50, 0, 0) == orders[0]


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1)])
def test_an_area_out_of_range_is_said(area: tuple[float, float]):
    with pytest.raises(TrainError, match=r"--augment\.area .* expected two shares"):
        CropConfig(area=area)


def test_an_aspect_below_one_is_said():
    with pytest.raises(TrainError, match=r"--augment\.aspect 0\.5: expected 1 or more"):
        CropConfig(aspect=0.5)
