from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqdet_cv import Detections
from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import Thing, write_list, write_photo
from train.__main__ import main
from train.common.errors import TrainError
from train.data.formats.open_dataset import load_dataset
from train.data.formats.voc import Sample, load_voc, read_annotation
from train.teachers.pseudo_labels import PseudoLabelConfig, complete, probabilities, pseudo_label, write_annotation

LABELS = ("bird", "cat", "dog")
BIRD, CAT, DOG = 0, 1, 2
KNOWN = (10.0, 10.0, 50.0, 50.0)


def make_sample() -> Sample:
    """An image that is labelled for dogs alone, and in which one cat is known."""
    box = np.array([KNOWN], np.float32)
    flags = [np.array([CAT]), np.array([False]), np.array([0.5], np.float32)]
    return Sample(Path("photo.jpg"), box, *flags, np.array([False, False, True]))


# what the teacher says: class, box, score; what is added: (score, difficult) or nothing
ADDED = {
    "sure": (BIRD, (0, 0, 30, 30), 0.75, (0.75, False)),
    "exactly at the threshold": (BIRD, (0, 0, 30, 30), 0.5, (0.5, False)),
    "in doubt": (BIRD, (0, 0, 30, 30), 0.375, (0.375, True)),
    "exactly at the doubt": (BIRD, (0, 0, 30, 30), 0.25, (0.25, True)),
    "below the doubt": (BIRD, (0, 0, 30, 30), 0.2, None),
    "class that is labelled": (DOG, (0, 0, 30, 30), 0.9, None),
    "known object": (CAT, (12, 10, 52, 50), 0.9, None),
    "exactly half over a known object": (CAT, (10, 10, 50, 30), 0.9, (0.9, False)),
    "another of the class": (CAT, (60, 10, 90, 50), 0.9, (0.9, False)),
    "another class on a known object": (BIRD, KNOWN, 0.9, (0.9, False)),
    "pressed flat at the border": (BIRD, (96, 10, 96, 30), 0.9, None),
    "thinner than a pixel": (BIRD, (10, 10, 40, 10.6), 0.9, None),
    "one pixel wide": (BIRD, (10, 10, 11, 40), 0.9, (0.9, False)),
}


@pytest.mark.parametrize(("class_id", "box", "score", "expected"), ADDED.values(), ids=ADDED)
def test_what_a_teacher_adds(class_id: int, box: tuple, score: float, expected: tuple | None):
    found = Detections([box], [class_id], [score], [LABELS[class_id]])
    added = complete(make_sample(), LABELS, found, PseudoLabelConfig(threshold=0.5, doubt=0.25, same_iou=0.5))
    if expected is None:
        assert added == []
    else:
        score, difficult = expected
        assert added == [(LABELS[class_id], pytest.approx(box), pytest.approx(score), difficult)]


def test_what_is_written_is_read_back(tmp_path: Path):
    added = [("bird", (0.0, 0.5, 30.25, 72.0), 0.45678, False), ("dog", (3.0, 4.0, 4.0, 5.0), 0.2, True)]
    write_annotation(tmp_path / "photo.xml", make_sample(), LABELS, added, "teacher.cfg")
    sample = read_annotation(tmp_path / "photo.xml", Path("photo.jpg"), LABELS)
    np.testing.assert_allclose(sample.boxes_xyxy, [KNOWN, *(box for _, box, *_ in added)], atol=0.051)
    assert sample.class_ids.tolist() == [CAT, BIRD, DOG]
    assert sample.ignore.tolist() == [False, False, True]
    np.testing.assert_allclose(sample.weights, [0.5, 0.4568, 0.2], atol=1e-6)
    assert sample.labelled.all()
    text = (tmp_path / "photo.xml").read_text()
    assert "<teacher>teacher.cfg</teacher>" in text
    assert "<filename>photo.jpg</filename>" in text


CONFIG = PseudoLabelConfig(doubt=0.25, same_iou=0.5)
SEEN = {
    "two classes": ([(CAT, KNOWN, 0.6), (DOG, KNOWN, 0.2)], {"cat": 0.75, "dog": 0.25}),
    "the best of a class counts": (
        [(CAT, KNOWN, 0.6), (CAT, (10, 10, 50, 45), 0.3), (DOG, KNOWN, 0.2)],
        {"cat": 0.75, "dog": 0.25},
    ),
    "a class that it does not name": ([(DOG, KNOWN, 0.5)], {"dog": 1.0}),
    "what overlaps by half is another object": ([(CAT, KNOWN, 0.5), (DOG, (10, 10, 50, 30), 0.9)], {"cat": 1.0}),
    "not worth writing": ([(CAT, KNOWN, 0.9), (DOG, KNOWN, 0.004)], {"cat": 0.9 / 0.904}),
    "as good as not seen": ([(CAT, KNOWN, 0.2), (DOG, KNOWN, 0.2)], {}),
    "elsewhere": ([(CAT, (60, 60, 90, 90), 0.9)], {}),
    "nothing": ([], {}),
}


@pytest.mark.parametrize(("rows", "expected"), SEEN.values(), ids=SEEN)
def test_what_a_teacher_takes_an_object_for(rows: list[tuple], expected: dict[str, float]):
    ids, boxes, scores = zip(*rows) if rows else ([], [], [])
    found = Detections(boxes, ids, scores, [LABELS[i] for i in ids])
    said = probabilities(KNOWN, found, LABELS, CONFIG)
    assert said.keys() == expected.keys()
    assert said == {name: pytest.approx(share, rel=1e-5) for name, share in expected.items()}


def test_probabilities_are_read_back(tmp_path: Path):
    shares = {KNOWN: {"cat": 0.7, "dog": 0.3}, (0.0, 0.0, 9.0, 9.0): {}}
    added = [("bird", (0.0, 0.0, 9.0, 9.0), 0.5, False)]
    path = tmp_path / "photo.xml"
    write_annotation(path, make_sample(), LABELS, added, "t", lambda box: shares[tuple(box)])
    sample = read_annotation(path, Path("photo.jpg"), LABELS)
    np.testing.assert_allclose(sample.class_probabilities, [[0, 0.7, 0.3], [1, 0, 0]], atol=1e-6)


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    write_photo(tmp_path, "a", [Thing("dog", (5, 5, 40, 40))], labelled="dog")
    write_photo(tmp_path, "b", [Thing("cat", (5, 5, 40, 40))])
    write_list(tmp_path, "train", ["a", "b"])
    return tmp_path


def test_the_command_completes_a_data_set(devkit: Path, monkeypatch, capsys):
    """A teacher that sees a sheep leaning out of every image: it is added where sheep are not labelled."""
    seen = []

    def open_teacher(path: str, labels: tuple, score_threshold: float, mirror: bool):
        seen.append((path, score_threshold, mirror))
        sheep = labels.index("sheep")
        return lambda image: Detections([(60, 20, 96, 72), (96, 0, 96, 9)], [sheep] * 2, [0.9, 0.8], ["sheep"] * 2)

    monkeypatch.setattr("train.commands.label.open_together", open_teacher)
    words = ["label", "--data", str(devkit), "--lists", "train", "--teacher", "x/t.cfg", "--out", str(devkit / "out")]
    assert main([*words, "--doubt", "0.2"]) == 0
    assert seen == [("x/t.cfg", 0.02, False)]
    assert "1 boxes of the teacher in 1 of 2 images" in capsys.readouterr().out
    a, b = load_voc(devkit, ["train"], VOC_LABELS, devkit / "out")
    assert [VOC_LABELS[i] for i in a.class_ids] == ["dog", "sheep"]
    assert [VOC_LABELS[i] for i in b.class_ids] == ["cat"]
    assert a.labelled.all()
    assert load_voc(devkit, ["train"], VOC_LABELS)[0].labelled.sum() == 1, "the devkit itself is as it was"


ORDERS = {"doubt above threshold": ("0.5", "0.4"), "doubt zero": ("0", "0.4"), "threshold one": ("0.5", "1")}


@pytest.mark.parametrize(("doubt", "threshold"), ORDERS.values(), ids=ORDERS)
def test_thresholds_out_of_order_are_refused(devkit: Path, capsys, doubt: str, threshold: str):
    words = ["label", "--data", str(devkit), "--lists", "train", "--teacher", "t.cfg", "--out", str(devkit / "out")]
    assert main([*words, "--doubt", doubt, "--threshold", threshold]) == 2
    assert "expected 0 < doubt <= threshold < 1" in capsys.readouterr().err
    assert not (devkit / "out").exists()


def test_photos_of_one_name_are_refused_before_the_work(tmp_path: Path):
    """Their XML files would be one."""
    for folder in ("x", "y"):
        write_photo(tmp_path / "voc", "a", [Thing("dog", (5, 5, 40, 40))])
        (tmp_path / "data" / folder).mkdir(parents=True)
        for path in ("JPEGImages/a.jpg", "Annotations/a.xml"):
            (tmp_path / "voc" / path).rename(tmp_path / "data" / folder / Path(path).name)
    samples = load_dataset(tmp_path / "data", ["all"], ("dog",))
    with pytest.raises(TrainError, match=r"2 images are called a; a\.xml"):
        pseudo_label(samples, ("dog",), lambda image: pytest.fail("the teacher was asked"), tmp_path / "out")
