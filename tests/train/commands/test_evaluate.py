from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detections
from tests.helpers import COLOURS_BGR, Thing, write_list, write_photo
from train.__main__ import main
from train.data.formats.voc import Sample, load_voc
from train.evaluation.evaluate import ClassResult, ap_table, evaluate, evaluate_fully, mean_ap

LABELS = ("bird", "cat", "dog")
BIRD, CAT, DOG = 0, 1, 2


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    write_photo(tmp_path, "a", [Thing("bird", (5, 5, 40, 40)), Thing("cat", (50, 10, 90, 60))])
    write_photo(tmp_path, "b", [Thing("cat", (8, 8, 60, 60), difficult=True)], (80, 100))
    write_photo(tmp_path, "c", [Thing("cat", (10, 20, 50, 60))], labelled="cat")
    write_list(tmp_path, "val", ["a", "b", "c"])
    return tmp_path


@pytest.fixture
def samples(devkit: Path) -> list[Sample]:
    return load_voc(devkit, ["val"], LABELS)


def by_colour(image: np.ndarray, wrong_bird: bool = False) -> Detections:
    """A perfect detector: boxes around the pixels of each class's colour. Or one that sees a bird everywhere too."""
    rows = []
    for class_id, label in enumerate(LABELS):
        like = np.abs(image.astype(int) - COLOURS_BGR[label]).max(axis=2) < 40
        like = cv2.morphologyEx(like.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5)))
        if like.any():
            ys, xs = np.nonzero(like)
            rows.append(((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), class_id, 0.5))
    if wrong_bird:
        rows.insert(0, ((60, 60, 70, 70), BIRD, 0.9))
    boxes, class_ids, scores = zip(*rows, strict=True)
    return Detections(boxes, class_ids, scores, [LABELS[i] for i in class_ids])


def test_a_perfect_detector_has_ap_1(samples: list[Sample]):
    results = evaluate(by_colour, samples, LABELS)
    assert [(r.label, r.objects) for r in results] == [("bird", 1), ("cat", 2), ("dog", 0)]
    assert [(r.ap_area, r.ap_07) for r in results[:2]] == [(1.0, 1.0)] * 2
    assert math.isnan(results[DOG].ap_area)
    assert mean_ap(results) == 1.0


def test_a_class_counts_only_photos_labelled_for_it(samples: list[Sample]):
    """Image c says nothing of birds, so a bird seen there is not wrong; those in a and b are, and beat the true one."""
    results = evaluate(lambda image: by_colour(image, wrong_bird=True), samples, LABELS)
    assert results[BIRD].ap_area == pytest.approx(1 / 3)
    assert results[CAT].ap_area == 1.0


def test_a_blind_detector_has_ap_0(samples: list[Sample]):
    results = evaluate(lambda image: Detections([], [], [], []), samples, LABELS)
    assert [r.ap_area for r in results[:2]] == [0.0, 0.0]


def test_scores_rank_over_all_photos(samples: list[Sample]):
    """The cat of image a is missed by a little and scores 0.9, that of c is found at 0.5: precision 0, then 1/2."""

    def detector(image: np.ndarray) -> Detections:
        found = by_colour(image)
        cats = found[found.class_ids == CAT]
        if image.shape[:2] == (72, 96) and len(found) == 2:
            return Detections(cats.boxes_xyxy + 30, cats.class_ids, [0.9], cats.labels)
        return cats

    assert evaluate(detector, samples, LABELS)[CAT].ap_area == pytest.approx(0.25)


RESULTS = [
    ClassResult("bird", 10, 0.5, 0.4),
    ClassResult("cat", 30, 0.25, 0.3),
    ClassResult("dog", 0, math.nan, math.nan),
]


def test_means_leave_out_classes_without_objects():
    assert mean_ap(RESULTS) == pytest.approx(0.375)
    assert mean_ap(RESULTS, ["cat", "dog"]) == pytest.approx(0.25)
    assert math.isnan(mean_ap(RESULTS, ["dog"]))


def test_the_table():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lines = ap_table(RESULTS, {"pets": ["cat", "dog"], "empty": ["dog"]}).splitlines()
    assert "| cat | 30 | 25.0 | 30.0 |" in lines
    assert "| **mean** (2 classes) | 40 | **37.5** | 35.0 |" in lines
    assert "| **pets** (1 classes) | 30 | **25.0** | 30.0 |" in lines
    assert "| dog | 0 | – | – |" in lines
    assert "empty" not in lines[-1]


@pytest.mark.parametrize("score", [None, 0.5])
def test_the_line_of_a_detector_that_is_never_right(samples: list[Sample], score: float | None):
    nothing = Detections([], [], [], [])
    line = evaluate_fully([nothing] * len(samples), samples, LABELS, score).to_markdown().splitlines()[-1]
    assert line.startswith("no detection is right") and "3 objects missed" in line


@pytest.mark.slow
def test_the_command_prints_and_writes(devkit: Path, monkeypatch, capsys):
    def open_perfect(path: str, labels: tuple, score_threshold: float, nms_threshold: float, mirror: bool):
        assert (path, score_threshold, nms_threshold, mirror) == ("x/m.pt,n.cfg", 0.01, 0.5, True)

        def detector(image: np.ndarray) -> Detections:
            found = by_colour(image)
            return Detections(
                found.boxes_xyxy, [labels.index(name) for name in found.labels], found.scores, found.labels
            )

        return detector

    monkeypatch.setattr("train.commands.evaluate.open_together", open_perfect)
    page = devkit / "out" / "m.html"
    path = devkit / "out" / "m.json"
    words = ["eval", "x/m.pt,n.cfg", "--mirror", "--data", str(devkit), "--nms", "0.5", "--group", "birds=bird"]
    words += ["--json", str(path), "--report", str(page), "--calibration", str(devkit / "out" / "c.png")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "| **mean** (2 classes) | 3 | **100.0** | 100.0 |" in printed
    assert "| **birds** (1 classes) | 1 | **100.0** | 100.0 |" in printed
    values = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (values["model"], values["lists"], values["mean_ap"]) == ("m.pt, n.cfg", "val", 1.0)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    by_label = {row["label"]: row for row in values["classes"]}
    cat = {"label": "cat", "objects": 2, "ap_area": 1.0, "ap_07": 1.0, "coco_ap": pytest.approx(1.0)}
    assert by_label["cat"] == cat
    assert by_label["sofa"]["ap_area"] is None
    assert values["errors"] == {
        "right": 3,
        "localisation": 0,
        "confusion": 0,
        "duplicate": 0,
        "background": 0,
        "missed": 0,
    }
    assert values["coco_ap"]["large"] is None
    assert 0 <= values["calibration_error"] <= 1
    assert cv2.imread(str(devkit / "out" / "c.png")).shape[2] == 3
    assert "COCO AP 50:95, all sizes: 100.0 (3 objects)" in printed
    assert "detections of score 0.500 or more: 3 right, 0 localisation, " in printed


BAD = {
    "unknown class": (["--group", "pets=cat,unicorn"], "--group pets=cat,unicorn: no class called unicorn"),
    "group without classes": (["--group", "pets"], "--group pets: no class called"),
    "unknown list": (["--lists", "nope"], "nope.txt: no such split; there are val"),
    "report of another kind": (["--report", "a.pdf"], "--report a.pdf: expected an .html file"),
    "calibration of another kind": (["--calibration", "a.pdf"], "--calibration a.pdf: expected a .png file"),
    "score below the lowest kept": (["--score", "0.001"], "--score 0.001: expected 0.01 to 1"),
    "score above 1": (["--score", "30"], "--score 30.0: expected 0.01 to 1"),
    "score of nothing": (["--score", "nan"], "--score nan: expected 0.01 to 1"),
    "missing model": ([], "x.pt: no such checkpoint"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(devkit: Path, capsys, words: list[str], message: str):
    assert main(["eval", "x.pt", "--data", str(devkit), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
