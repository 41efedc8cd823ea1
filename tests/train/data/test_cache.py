from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import make_spec, write_devkit
from train.common.errors import TrainError
from train.data.cache import PLACES, ImageCache
from train.data.formats.voc import load_voc
from train.data.loader import DetectionData, make_loader
from train.data.transforms.augment import AugmentConfig


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(30, 40), (400, 300), (64, 64)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (height, width, 3), np.uint8))
    return sorted(tmp_path.glob("*.png"))


@pytest.mark.parametrize("place", PLACES)
def test_images_are_those_of_the_files_shrunk_where_they_are_large(paths: list[Path], place: str):
    cache = ImageCache(paths, 100, place)
    assert len(cache) == 3
    for i in (2, 0):
        image, factor_wh = cache[i]
        np.testing.assert_array_equal(image, cv2.imread(str(paths[i])))
        assert factor_wh.tolist() == [1, 1]
    image, factor_wh = cache[1]
    np.testing.assert_array_equal(image, cv2.resize(cv2.imread(str(paths[1])), (75, 100), interpolation=cv2.INTER_AREA))
    assert factor_wh.tolist() == [0.25, 0.25]


@pytest.mark.parametrize("place", PLACES)
def test_a_kept_image_cannot_be_changed(paths: list[Path], place: str):
    image, _ = ImageCache(paths, 100, place)[0]
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_without_a_cache(tmp_path: Path, place: str, workers: int):
    samples = load_voc(write_devkit(tmp_path, {"train": 7}), ["train"], VOC_LABELS)
    cache = ImageCache([sample.image_path for sample in samples], 1000, place)
    order = [(i, 0) for i in range(7)]
    batches = []
    for kept, processes in ((None, 0), (cache, workers)):
        data = DetectionData(samples, make_spec(labels=VOC_LABELS), AugmentConfig(mosaic=0.5), 0, 0, cache=kept)
        batches.append(list(make_loader(data, order, 4, processes)))
    for read, kept in zip(*batches, strict=True):
        for name, value in vars(read).items():
            np.testing.assert_allclose(value, getattr(kept, name), rtol=1e-5, atol=1e-4, err_msg=name)


def test_boxes_shrink_with_their_image(tmp_path: Path):
    samples = load_voc(write_devkit(tmp_path, {"train": 3}), ["train"], VOC_LABELS)
    spec = make_spec(labels=VOC_LABELS)
    small = DetectionData(samples, spec, None, 0, 0, cache=ImageCache([s.image_path for s in samples], 48))
    for i in range(3):
        expected = DetectionData(samples, spec, None, 0, 0).view(i)[0].boxes_xyxy
        np.testing.assert_allclose(small.view(i)[0].boxes_xyxy, expected, rtol=1e-5, atol=1e-3)


def test_a_damaged_image_is_named(paths: list[Path]):
    paths[1].write_bytes(b"no image")
    with pytest.raises(TrainError, match=f"{paths[1]}: missing or not an image"):
        ImageCache(paths, 100)
