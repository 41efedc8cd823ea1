from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.data.format_cases import LABELS, write_folder_with_txt, write_folder_with_xml, write_voc
from train.common.errors import TrainError
from train.data.formats.folder import load_folder
from train.data.formats.voc import load_voc


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder train with XML, folder val with txt."""
    devkit = write_voc(tmp_path / "voc")
    write_folder_with_xml(tmp_path / "folder", "train", load_voc(devkit, ["train"], LABELS))
    write_folder_with_txt(tmp_path / "folder", "val", load_voc(devkit, ["val"], LABELS))
    return tmp_path / "folder"


def _stems(root: Path, name: str) -> list[str]:
    return [sample.image_path.stem for sample in load_folder(root, name, LABELS)]


def test_lists_are_folders_files_or_all(root: Path):
    (root / "some.txt").write_text("val/d\n\ntrain/a.jpg\n")
    assert _stems(root, "train") == ["a", "b", "c"]
    assert _stems(root, "some") == ["d", "a"]
    assert _stems(root, "all") == ["a", "b", "c", "d"]


def test_xml_and_txt_may_be_mixed_and_a_picture_may_have_neither(root: Path):
    (root / "train" / "b.xml").unlink()
    a, b, c, d = load_folder(root, "all", LABELS)
    assert [sample.class_ids.tolist() for sample in (a, b, c, d)] == [[0, 1], [], [], [1, 0]]
    assert b.labelled.all()


def test_class_names_beside_the_files_come_first(root: Path):
    (root / "val" / "classes.txt").write_text("zebra\ntraffic light\ncat\ndog\n")
    assert load_folder(root, "val", LABELS)[0].class_ids.tolist() == [0, 1]


def test_what_is_missing_is_named(root: Path):
    with pytest.raises(TrainError, match=r"no split .test.: expected a folder test, a file test.txt"):
        load_folder(root, "test", LABELS)
    (root / "test.txt").write_text("train/a\ntrain/x\n")
    with pytest.raises(TrainError, match=r"test.txt: no image 'train/x' in "):
        load_folder(root, "test", LABELS)
    (root / "classes.txt").unlink()
    with pytest.raises(TrainError, match=r"d.txt: no classes.txt beside it or in "):
        load_folder(root, "val", LABELS)
    (root / "val" / "d.txt").unlink()
    with pytest.raises(TrainError, match=r"split 'val': no .xml or .txt file beside any of its 1 images"):
        load_folder(root, "val", LABELS)
