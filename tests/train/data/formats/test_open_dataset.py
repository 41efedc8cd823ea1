"""The same images in every format are the same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import Thing, annotation_xml, write_list, write_photo
from tests.train.data.format_cases import LABELS, WRITERS, write_coco, write_folder_with_xml, write_voc
from train.common.errors import TrainError
from train.data.formats.open_dataset import load_dataset
from train.data.formats.voc import load_voc

LISTS = ["train", "val"]


def _write(write: Callable, devkit: Path, root: Path) -> Path:
    for name in LISTS:
        write(root, name, load_voc(devkit, [name], LABELS))
    return root


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_says_what_voc_says(name: str, tmp_path: Path):
    devkit = write_voc(tmp_path / "voc")
    expected = load_voc(devkit, LISTS, LABELS)
    found = load_dataset(_write(WRITERS[name], devkit, tmp_path / "other"), LISTS, LABELS)
    for sample, other in zip(expected, found, strict=True):
        assert other.image_path.name == sample.image_path.name
        assert other.image_path.is_file()
        np.testing.assert_allclose(other.boxes_xyxy, sample.boxes_xyxy, atol=1e-4)
        for field in ("class_ids", "ignore", "weights"):
            np.testing.assert_array_equal(getattr(other, field), getattr(sample, field))
        if name != "folder with txt":
            assert other.labelled.tolist() == sample.labelled.tolist()
        for field in ("boxes_xyxy", "class_ids", "ignore", "weights", "labelled"):
            assert getattr(other, field).dtype == getattr(sample, field).dtype


def test_a_devkit_is_read_as_before(tmp_path: Path):
    devkit = write_voc(tmp_path)
    found, expected = load_dataset(devkit, ["val"], LABELS), load_voc(devkit, ["val"], LABELS)
    assert found[0].boxes_xyxy.tolist() == expected[0].boxes_xyxy.tolist()


@pytest.mark.parametrize("name", ["COCO", "folder with XML"])
def test_difficult_objects_are_kept_as_such(name: str, tmp_path: Path):
    write_photo(tmp_path / "voc", "a", [Thing("cat", (1, 2, 30, 40), difficult=True), Thing("cat", (30, 2, 60, 40))])
    write_list(tmp_path / "voc", "train", ["a"])
    WRITERS[name](tmp_path / "other", "train", load_voc(tmp_path / "voc", ["train"], LABELS))
    (sample,) = load_dataset(tmp_path / "other", ["train"], LABELS)
    assert sample.ignore.tolist() == [True, False]


def test_annotations_replace_those_of_any_format(tmp_path: Path):
    root = _write(write_coco, write_voc(tmp_path / "voc"), tmp_path / "coco")
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "b.xml").write_text(annotation_xml([Thing("dog", (1, 2, 3, 4))], "all"))
    before, after = load_dataset(root, ["train"], LABELS), load_dataset(root, ["train"], LABELS, teacher)
    assert [sample.class_ids.tolist() for sample in before] == [[0, 1], [2], []]
    assert [sample.class_ids.tolist() for sample in after] == [[0, 1], [1], []]
    assert after[1].labelled.all()


def test_annotations_must_be_there_and_mean_one_photo(tmp_path: Path):
    root = _write(write_folder_with_xml, write_voc(tmp_path / "voc"), tmp_path / "folder")
    with pytest.raises(TrainError, match="none: no such folder of annotations"):
        load_dataset(root, ["train"], LABELS, tmp_path / "none")
    for end in (".png", ".xml"):
        (root / "train" / f"d{end}").write_bytes((root / "val" / f"d{end}").read_bytes())
    with pytest.raises(TrainError, match="2 images are called d; d.xml there could mean any"):
        load_dataset(root, LISTS, LABELS, tmp_path)


def test_what_is_not_a_data_set_is_named(tmp_path: Path):
    with pytest.raises(TrainError, match="nowhere: no such folder; expected a data set: VOC"):
        load_dataset(tmp_path / "nowhere", ["train"], LABELS)
    with pytest.raises(TrainError, match="nothing known in it; expected a data set: VOC"):
        load_dataset(tmp_path, ["train"], LABELS)


def test_a_photo_stands_in_one_list(tmp_path: Path):
    root = _write(write_coco, write_voc(tmp_path / "voc"), tmp_path / "coco")
    with pytest.raises(TrainError, match="the splits val, val hold an image twice"):
        load_dataset(root, ["val", "val"], LABELS)


def test_other_class_names_are_not_taken_for_empty_photos(tmp_path: Path):
    root = _write(write_coco, write_voc(tmp_path / "voc"), tmp_path / "coco")
    with pytest.raises(TrainError, match="none of its images is labelled for a class of --labels"):
        load_dataset(root, ["train"], ("Cat", "Dog"))
