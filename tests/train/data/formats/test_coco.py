from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train.data.format_cases import LABELS, write_coco, write_voc
from train.common.errors import TrainError
from train.data.formats.coco import load_coco
from train.data.formats.voc import load_voc


@pytest.fixture
def root(tmp_path: Path) -> Path:
    devkit = write_voc(tmp_path / "voc")
    write_coco(tmp_path / "coco", "train", load_voc(devkit, ["train"], LABELS))
    return tmp_path / "coco"


def _change(root: Path, change: Callable[[dict], object]) -> None:
    path = root / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_plain_coco_is_labelled_for_its_categories(root: Path):
    for image in json.loads((root / "annotations" / "instances_train.json").read_text())["images"]:
        assert "score" not in image
    _change(root, lambda content: [image.pop("labelled", None) for image in content["images"]])
    labels = ("cat", "giraffe", "dog")
    assert [sample.labelled.tolist() for sample in load_coco(root, "train", labels)] == [[True, False, True]] * 3


@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_a_crowd_is_neither_right_nor_wrong(root: Path, key: str):
    _change(root, lambda content: content["annotations"][0].update({"iscrowd": 0} | {key: 1}))
    assert load_coco(root, "train", LABELS)[0].ignore.tolist() == [True, False]


def test_a_box_without_area_is_left_out(root: Path):
    _change(root, lambda content: content["annotations"][0].update(bbox=[3, 4, 0, 7]))
    assert load_coco(root, "train", LABELS)[0].class_ids.tolist() == [1]


def test_sizes_are_taken_where_they_are_said(root: Path):
    _change(root, lambda content: content["images"][0].update(width=96, height=72))
    assert [sample.size_wh for sample in load_coco(root, "train", LABELS)] == [(96, 72), None, None]


@pytest.mark.parametrize("folder", ["images/train", "images", "."])
def test_pictures_are_found_where_tools_put_them(root: Path, folder: str):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for picture in sorted((root / "train").iterdir()):
        picture.rename(root / folder / picture.name)
    assert [sample.image_path.parent for sample in load_coco(root, "train", LABELS)] == [root / folder] * 3


BROKEN = {
    "no JSON": (lambda c: c.clear(), "instances_train.json: not COCO's form: 'categories' is missing"),
    "unknown image": (lambda c: c["annotations"][0].update(image_id=7), "not COCO's form: 7 is missing or named"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=7), "not COCO's form: 7 is missing or named"),
    "three numbers": (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "annotation 0: expected a bbox of four"),
    "negative": (lambda c: c["annotations"][0].update(bbox=[1, 2, -3, 4]), r"annotation 0: bbox \[1, 2, -3, 4\]"),
    "score": (lambda c: c["annotations"][0].update(score=1.5), "annotation 0: bbox .* with score 1.5"),
    "labelled": (lambda c: c["images"][0].update(labelled=["giraffe"]), r"a.jpg: labelled \['giraffe'\]: expected"),
    "picture": (lambda c: c["images"][0].update(file_name="z.jpg"), "its image z.jpg is in none of"),
    "images no list": (lambda c: c.update(images=3), "not COCO's form: 'int' object is not iterable"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_named(root: Path, change: Callable[[dict], object], message: str):
    _change(root, change)
    with pytest.raises(TrainError, match=message):
        load_coco(root, "train", LABELS)


def test_a_damaged_file_and_a_missing_list_are_named(root: Path):
    with pytest.raises(TrainError, match=r"no annotations/instances_val.json .* there are \['instances_train.json'\]"):
        load_coco(root, "val", LABELS)
    (root / "annotations" / "val.json").write_text("{")
    with pytest.raises(TrainError, match="val.json: not JSON"):
        load_coco(root, "val", LABELS)
