from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import Thing, annotation_xml, write_devkit, write_list, write_photo
from train.common.errors import TrainError
from train.data.formats.voc import load_voc, read_annotation

LABELS = ("bird", "cat", "dog")


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    write_photo(tmp_path, "a", [Thing("cat", (0, 0, 96, 72)), Thing("dog", (10, 5, 30, 25), difficult=True)])
    write_photo(tmp_path, "b", [Thing("bird", (3, 4, 50, 60), score=0.625)], labelled="cat dog", suffix=".png")
    write_photo(tmp_path, "c", [Thing("zebra", (3, 4, 50, 60))], labelled="all")
    write_list(tmp_path, "train", ["a", "b"])
    write_list(tmp_path, "val", ["c"])
    return tmp_path


def test_what_a_photo_says_is_read(devkit: Path):
    a, b, c = load_voc(devkit, ["train", "val"], LABELS)
    # VOC's 1-based inclusive corners of a full 96 x 72 image are 1, 1, 96, 72.
    assert a.boxes_xyxy.tolist() == [[0, 0, 96, 72], [10, 5, 30, 25]]
    assert (a.class_ids.tolist(), a.ignore.tolist(), a.weights.tolist()) == ([1, 2], [False, True], [1, 1])
    assert b.weights.tolist() == [0.625]
    assert [sample.image_path.name for sample in (a, b, c)] == ["a.jpg", "b.png", "c.jpg"]
    assert c.boxes_xyxy.shape == (0, 4), "objects of other classes are left out"
    assert {array.dtype.name for array in (a.boxes_xyxy, c.boxes_xyxy, a.weights)} == {"float32"}


def _probabilities(tmp_path: Path, elements: str) -> list[list[float]]:
    """Of a cat with these elements, and of a dog without any."""
    corners = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    objects = f"<object><name>cat</name>{corners}{elements}</object><object><name>dog</name>{corners}</object>"
    path = tmp_path / "x.xml"
    path.write_text(f"<annotation>{objects}</annotation>")
    return read_annotation(path, Path("x.jpg"), LABELS).class_probabilities.tolist()


PROBABILITIES = {
    "none said": ("", [0, 1, 0]),
    "two classes": (
        '<probability name="dog">0.25</probability><probability name="cat">0.75</probability>',
        [0, 0.75, 0.25],
    ),
    "not all are asked for": (
        '<probability name="cat">0.25</probability><probability name="cow">0.5</probability>'
        '<probability name="bird">0.25</probability>',
        [0.5, 0.5, 0],
    ),
    "none is asked for": ('<probability name="cow">1</probability>', [0, 1, 0]),
}


@pytest.mark.parametrize(("elements", "expected"), PROBABILITIES.values(), ids=PROBABILITIES)
def test_a_teachers_probabilities_are_read(tmp_path: Path, elements: str, expected: list[float]):
    assert _probabilities(tmp_path, elements) == [expected, [0, 0, 1]]


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "much", ""])
def test_a_probability_that_is_none_is_refused(tmp_path: Path, text: str):
    with pytest.raises(TrainError, match=f"x.xml: a probability of 'cat' .*{text}.*; expected a number of 0 to 1"):
        _probabilities(tmp_path, f'<probability name="cat">{text}</probability>')


LABELLED = {
    "commas": ("dog, bird", [True, False, True]),
    "semicolons": ("dog;bird;", [True, False, True]),
    "VOC's own file": (None, [True, True, True]),
    "all": ("all", [True, True, True]),
    "two classes": ("dog  bird", [True, False, True]),
    "none": ("", [False, False, False]),
    "another class": ("zebra", [False, False, False]),
}


@pytest.mark.parametrize(("text", "expected"), LABELLED.values(), ids=LABELLED)
def test_labelled_classes(tmp_path: Path, text: str | None, expected: list[bool]):
    path = tmp_path / "x.xml"
    path.write_text(annotation_xml([], text))
    assert read_annotation(path, Path("x.jpg"), LABELS).labelled.tolist() == expected


NAMES_WITH_SPACES = {
    "one": (["traffic light"], [True, False, False]),
    "commas": (["traffic light, stop sign"], [True, True, False]),
    "an element each": (["traffic light", "stop sign"], [True, True, False]),
    "with one that has none": (["stop sign", "light"], [False, True, True]),
    "spaces between": (["light stop"], [False, False, True]),
}


@pytest.mark.parametrize(("texts", "expected"), NAMES_WITH_SPACES.values(), ids=NAMES_WITH_SPACES)
def test_labelled_classes_with_spaces_in_their_names(tmp_path: Path, texts: list[str], expected: list[bool]):
    elements = "".join(f"<labelled>{text}</labelled>" for text in texts)
    path = tmp_path / "x.xml"
    path.write_text(f"<annotation><source>{elements}</source></annotation>")
    labels = ("traffic light", "stop sign", "light")
    assert read_annotation(path, Path("x.jpg"), labels).labelled.tolist() == expected


SIZES = {
    "said": ("<size><width>96</width><height> 72 </height><depth>3</depth></size>", (96, 72)),
    "not there": ("", None),
    "zeros": ("<size><width>0</width><height>0</height></size>", None),
    "half": ("<size><width>96</width></size>", None),
    "no number": ("<size><width>wide</width><height>72</height></size>", None),
}


@pytest.mark.parametrize(("text", "expected"), SIZES.values(), ids=SIZES)
def test_the_photos_size_is_read_where_it_is_said(tmp_path: Path, text: str, expected: tuple[int, int] | None):
    path = tmp_path / "x.xml"
    path.write_text(annotation_xml([]).replace("</annotation>", f"{text}</annotation>"))
    assert read_annotation(path, Path("x.jpg"), LABELS).size_wh == expected


def test_annotations_stand_in_photo_by_photo(devkit: Path, tmp_path: Path):
    other = tmp_path / "teacher"
    other.mkdir()
    (other / "b.xml").write_text(annotation_xml([Thing("dog", (1, 2, 3, 4))], "all"))
    a, b = load_voc(devkit, ["train"], LABELS, other)
    assert a.class_ids.tolist() == [1, 2]
    assert (b.class_ids.tolist(), b.labelled.all()) == ([2], True)


def test_lists_with_a_second_column_and_blank_lines(devkit: Path):
    (devkit / "ImageSets/Main/cat_train.txt").write_text("a  1\n\nb -1\n")
    assert [sample.image_path.stem for sample in load_voc(devkit, ["cat_train"], LABELS)] == ["a", "b"]


def _without(path: str):
    return lambda root: (root / path).unlink()


def _without_folder(path: str):
    return lambda root: (root / path).rename(root / "elsewhere")


def _with_text(path: str, old: str, new: str):
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


XML = "Annotations/b.xml"
BROKEN = {
    "no lists": (_without_folder("ImageSets"), "{root}: not a VOC devkit folder: it has no ImageSets/Main"),
    "no images": (_without_folder("JPEGImages"), "{root}: not a VOC devkit folder: it has no JPEGImages"),
    "list missing": (
        _without("ImageSets/Main/train.txt"),
        "{root}/ImageSets/Main/train.txt: no such split; there are val",
    ),
    "list empty": (_with_text("ImageSets/Main/train.txt", "a\nb\n", "\n"), "{root}: the splits train hold no image"),
    "image twice": (_with_text("ImageSets/Main/train.txt", "b", "a"), "{root}: the splits train hold an image twice"),
    "image missing": (_without("JPEGImages/b.png"), "{root}/JPEGImages: no image for 'b'"),
    "XML missing": (_without(XML), "{root}/Annotations/b.xml: cannot read it: No such file"),
    "not XML": (_with_text(XML, "</annotation>", ""), "{root}/Annotations/b.xml: not XML"),
    "corner not a number": (_with_text(XML, "<xmin>4<", "<xmin>four<"), "{root}/Annotations/b.xml: a bird whose"),
    "corner missing": (_with_text(XML, "<xmin>4</xmin>", ""), "{root}/Annotations/b.xml: a bird whose bndbox"),
    "corner nan": (_with_text(XML, "<xmin>4<", "<xmin>nan<"), "{root}/Annotations/b.xml: a bird with corners"),
    "corners swapped": (_with_text(XML, "<xmin>4<", "<xmin>400<"), "{root}/Annotations/b.xml: a bird with corners"),
    "score zero": (_with_text(XML, "0.625", "0"), "{root}/Annotations/b.xml: a bird with corners .* and score 0"),
    "score above 1": (_with_text(XML, "0.625", "1.5"), "{root}/Annotations/b.xml: a bird with corners .* score 1.5"),
    "difficult not a number": (
        _with_text(XML, "<difficult>0<", "<difficult>x<"),
        "{root}/Annotations/b.xml: a bird whose",
    ),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_errors_name_the_file(devkit: Path, damage, message: str):
    damage(devkit)
    with pytest.raises(TrainError, match=message.format(root=devkit)):
        load_voc(devkit, ["train"], LABELS)


def test_a_missing_annotations_folder_is_named(devkit: Path):
    with pytest.raises(TrainError, match=f"{devkit}/none: no such folder"):
        load_voc(devkit, ["train"], LABELS, devkit / "none")


def test_the_devkits_of_these_tests_are_right(tmp_path: Path):
    """Every box of a generated image is a rectangle of its class's colour, inside the image."""
    import cv2

    from tests.helpers import COLOURS_BGR

    for sample in load_voc(write_devkit(tmp_path, {"train": 4}), ["train"], VOC_LABELS):
        image = cv2.imread(str(sample.image_path)).astype(int)
        for (x1, y1, x2, y2), class_id in zip(sample.boxes_xyxy.astype(int), sample.class_ids, strict=True):
            inside = image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].reshape(-1, 3)
            assert inside.size
            assert np.abs(inside.mean(axis=0) - COLOURS_BGR[VOC_LABELS[class_id]]).max() < 12
