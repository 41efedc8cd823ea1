from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.train.data.format_cases import LABELS, NAMES, write_voc, write_yolo
from train.common.errors import TrainError
from train.data.formats.voc import load_voc
from train.data.formats.yolo import load_yolo, txt_path


@pytest.fixture
def yaml_path(tmp_path: Path) -> Path:
    devkit = write_voc(tmp_path / "voc")
    write_yolo(tmp_path / "yolo", "train", load_voc(devkit, ["train"], LABELS))
    return tmp_path / "yolo" / "data.yaml"


def _change(yaml_path: Path, **values: object) -> None:
    yaml_path.write_text(yaml.safe_dump(yaml.safe_load(yaml_path.read_text()) | values))


def _names(yaml_path: Path) -> list[str]:
    return [sample.image_path.name for sample in load_yolo(yaml_path, "train", LABELS)]


def test_names_may_be_numbered(yaml_path: Path):
    before = load_yolo(yaml_path, "train", LABELS)
    _change(yaml_path, names=dict(reversed(list(enumerate(NAMES)))))
    after = load_yolo(yaml_path, "train", LABELS)
    assert [s.class_ids.tolist() for s in after] == [s.class_ids.tolist() for s in before] == [[0, 1], [2], []]


def test_a_list_may_be_files_and_folders(yaml_path: Path):
    assert _names(yaml_path) == ["a.jpg", "b.jpg", "c.jpg"]
    (yaml_path.parent / "some.txt").write_text("images/train/c.jpg\n\n./images/train/a.jpg\n")
    _change(yaml_path, train="some.txt")
    assert _names(yaml_path) == ["c.jpg", "a.jpg"]
    (yaml_path.parent / "images" / "more").mkdir()
    _change(yaml_path, train=["images/more", "some.txt"])
    assert _names(yaml_path) == ["c.jpg", "a.jpg"]


def test_path_moves_the_lists(yaml_path: Path):
    moved = yaml_path.parent / "elsewhere.d" / "data.yaml"
    moved.parent.mkdir()
    yaml_path.rename(moved)
    _change(moved, path=str(yaml_path.parent))
    (_, b, _) = load_yolo(moved, "train", LABELS)
    assert b.labelled.tolist() == [False, True, True], "patterns go with the images"


def test_names_that_are_not_trained_and_classes_without_a_name(yaml_path: Path):
    a, *_ = load_yolo(yaml_path, "train", ("giraffe", "dog"))
    assert (a.class_ids.tolist(), a.labelled.tolist()) == ([1], [False, True])


def test_the_size_is_the_pictures(yaml_path: Path):
    (yaml_path.parent / "labels/train/c.txt").write_text("3 0.5 0.25 0.5 0.5\n")
    c = load_yolo(yaml_path, "train", LABELS)[2]
    assert c.size_wh == (60, 80)
    np.testing.assert_allclose(c.boxes_xyxy, [[15, 0, 45, 40]])


TXT_PATHS = {
    "images/val/a.jpg": "labels/val/a.txt",
    "images/set/images/a.b.png": "images/set/labels/a.b.txt",
    "photos/a.jpg": "photos/a.txt",
    "images_old/images": "images_old/images.txt",
}


@pytest.mark.parametrize(("picture", "expected"), TXT_PATHS.items(), ids=TXT_PATHS)
def test_where_the_objects_stand(picture: str, expected: str):
    assert txt_path(Path(picture)) == Path(expected)


LINES = {
    "too few": ("2 0.5 0.5 0.5", "a.txt, line 2: '2 0.5 0.5 0.5': expected CLASS_ID X Y WIDTH HEIGHT"),
    "too many": ("2 0.5 0.5 0.5 0.5 1 1", "a.txt, line 2: .*: expected CLASS_ID X Y WIDTH HEIGHT"),
    "no number": ("2 0.5 x 0.5 0.5", "a.txt, line 2: .*: expected CLASS_ID X Y WIDTH HEIGHT"),
    "name for an id": ("dog 0.5 0.5 0.5 0.5", "a.txt, line 2: .*: expected CLASS_ID X Y WIDTH HEIGHT"),
    "pixels": ("2 48 36 10 10", "a.txt, line 2: .*: expected shares of the image's size"),
    "no width": ("2 0.5 0.5 0 0.5", "a.txt, line 2: .*: expected shares of the image's size"),
    "not a number": ("2 0.5 nan 0.5 0.5", "a.txt, line 2: .*: expected shares of the image's size"),
    "class": ("4 0.5 0.5 0.5 0.5", "a.txt, line 2: class 4; there are 4 names, the first is 0"),
    "negative class": ("-1 0.5 0.5 0.5 0.5", "a.txt, line 2: class -1; there are 4 names"),
}


@pytest.mark.parametrize(("line", "message"), LINES.values(), ids=LINES)
def test_a_wrong_line_is_named(yaml_path: Path, line: str, message: str):
    (yaml_path.parent / "labels/train/a.txt").write_text(f"\n{line}\n")
    with pytest.raises(TrainError, match=message):
        load_yolo(yaml_path, "train", LABELS)


KEYS = {
    "names missing": ({"names": None}, "data.yaml: names: expected a list of class names"),
    "a number left out": ({"names": {0: "cat", 2: "dog"}}, "data.yaml: names: expected a list of class names"),
    "list elsewhere": ({"train": "nowhere"}, "nowhere: no such folder of images or .txt file"),
    "labelled no map": ({"labelled": ["cat"]}, "data.yaml: labelled: expected PATTERN"),
    "labelled unknown": (
        {"labelled": {"*": ["cow"]}},
        r"labelled: \*: \['cow'\]: expected a list of some of the names",
    ),
}


@pytest.mark.parametrize(("values", "message"), KEYS.values(), ids=KEYS)
def test_a_wrong_key_is_named(yaml_path: Path, values: dict, message: str):
    _change(yaml_path, **values)
    with pytest.raises(TrainError, match=message):
        load_yolo(yaml_path, "train", LABELS)


def test_a_missing_list_and_a_damaged_file_are_named(yaml_path: Path):
    with pytest.raises(TrainError, match="data.yaml: no split .val. in it; there are the keys labelled, names, train"):
        load_yolo(yaml_path, "val", LABELS)
    for text, message in (("a: [", "not YAML"), ("- a", "expected keys and values")):
        yaml_path.write_text(text)
        with pytest.raises(TrainError, match=f"data.yaml: {message}"):
            load_yolo(yaml_path, "train", LABELS)
