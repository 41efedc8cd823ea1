from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import oracles
from benchmarks.accuracy.oracles import ORACLES, Said, ap_with, compare, name_objects, naming
from sqdet_cv.boxes.ops import decode
from tests.helpers import make_spec
from train.checkpoints.native import net_from_checkpoint
from train.data.formats.open_dataset import load_dataset
from train.data.sample import Annotation, make_sample
from train.detectors.pytorch import TorchDetector
from train.evaluation.evaluate import EVAL_SCORE_THRESHOLD, evaluate, mean_ap

SPEC = make_spec()
ANCHORS_XYXY = decode(np.zeros((SPEC.num_anchors, 4), np.float32), SPEC)
ANCHOR = 2 * (SPEC.grid.hw[1] + 1)  # the first shape (20 x 30) of a cell within the image
BACKGROUND = 0  # an anchor that has nothing to do with it
BIRD, CAT = 0, 1


def said(shift: float = 0.0, class_id: int = BIRD, confidence: float = 0.9, elsewhere: float = 0.0) -> Said:
    """An image twice as large as the input with a bird, and an anchor `shift` input pixels to the left of it."""
    x1, y1, x2, y2 = 2 * (ANCHORS_XYXY[ANCHOR] + np.float32([shift, 0, shift, 0]))
    labelled = [True] * SPEC.num_classes
    sample = make_sample(Path("x.jpg"), [Annotation((x1, y1, x2, y2), BIRD)], labelled, None)
    class_scores = np.full((SPEC.num_anchors, SPEC.num_classes), 0.01, np.float32)
    class_scores[:, BIRD], class_scores[ANCHOR] = 0.96, 0.01
    class_scores[ANCHOR, class_id] = 0.96
    confidences = np.zeros(SPEC.num_anchors, np.float32)
    confidences[BACKGROUND], confidences[ANCHOR] = elsewhere, confidence
    image_wh = (2 * SPEC.input_wh[0], 2 * SPEC.input_wh[1])
    return compare(sample, SPEC, image_wh, np.zeros((SPEC.num_anchors, 4), np.float32), class_scores, confidences)


def points(one: Said) -> dict[str, float]:
    """AP of birds with each oracle: an object and a detection or two, so AP is 0, 1/2 or 1."""
    return {name: ap_with(oracle, [one], SPEC) for name, oracle in ORACLES.items()}


def rows(**ap: float) -> dict[str, float]:
    """The rows of ORACLES, in order: as, classes, near (0.3), far (0.1), background, confidence."""
    return dict(zip(ORACLES, (ap[key] for key in ("as_is", "classes", "near", "far", "background", "confidence"))))


def test_a_perfect_photo_has_nothing_to_gain():
    assert points(said()) == dict.fromkeys(ORACLES, 1.0)


def test_a_wrong_class_is_put_right_by_its_oracle_alone():
    assert points(said(class_id=CAT)) == rows(as_is=0, classes=1, near=0, far=0, background=0, confidence=0)


@pytest.mark.parametrize(
    ("shift", "near", "far"),
    # a box 20 wide that lies s aside has IoU (20 - s) / (20 + s)
    [(6.0, 1, 1), (10.0, 1, 1), (12.0, 0, 1), (16.0, 0, 1), (17.0, 0, 0)],
)
def test_a_box_is_put_right_from_its_iou_on(shift: float, near: int, far: int):
    one = said(shift)
    assert one.iou[ANCHOR, 0] == pytest.approx((20 - shift) / (20 + shift), rel=1e-5)
    found = points(one)
    true_positive = float((20 - shift) / (20 + shift) >= 0.5)
    assert found["as it is"] == found["classes right"] == true_positive
    assert found["boxes right from IoU 0.3 on"] == near and found["boxes right from IoU 0.1 on"] == far


def test_what_is_surer_than_the_object_goes_with_the_background():
    found = points(said(confidence=0.5, elsewhere=0.9))
    assert found == rows(as_is=0.5, classes=0.5, near=0.5, far=0.5, background=1, confidence=1)


def test_an_object_that_was_not_confident_is_found_with_the_right_confidence():
    found = points(said(confidence=0.0))
    assert found["as it is"] == 0 and found["classes right"] == 0
    assert found["confidence = IoU"] == 1


def test_nothing_is_changed_in_place():
    one = said(6.0, class_id=CAT)
    before = [array.copy() for array in (one.boxes_xyxy, one.class_scores, one.confidence)]
    points(one)
    for old, new in zip(before, (one.boxes_xyxy, one.class_scores, one.confidence)):
        np.testing.assert_array_equal(old, new)


def test_a_photo_without_objects_that_count():
    sample = make_sample(Path("x.jpg"), [Annotation((0, 0, 9, 9), BIRD, ignore=True)], [True] * SPEC.num_classes, None)
    one = said()
    empty = compare(sample, SPEC, one.image_wh, np.zeros((len(one.confidence), 4)), one.class_scores, one.confidence)
    assert not (empty.best[1].any() or empty.true_ids.size)
    assert all(np.isnan(value) for value in points(empty).values())
    assert name_objects([empty]) == []


def test_naming_counts_the_objects_that_an_anchor_is_about():
    named = name_objects([said(), said(class_id=CAT), said(class_id=CAT), said(16.0)])
    counts = naming(named, SPEC.num_classes)
    assert counts[BIRD, BIRD] == 1 and counts[BIRD, CAT] == 2 and counts.sum() == 3
    table = oracles.naming_table(counts, SPEC.labels).splitlines()
    assert table[2] == "| bird | 3 | 33 % | cat (2) |" and table[3] == "| cat | 0 |  |  |"
    assert table[-1] == "| all | 3 | 33 % | |"
    # 20 x 30 input pixels: size 24.5
    assert oracles.size_table(named).splitlines()[2:5] == [
        "| 0 - 16 | 0 |  |  |",
        "| 16 - 32 | 4 | 75 % | 33 % |",
        "| 32 - 64 | 0 |  |  |",
    ]


def test_a_wrong_path_is_named_in_a_line(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(sys, "argv", ["oracles", str(tmp_path / "x.pt"), f"--data={tmp_path}"])
    with pytest.raises(SystemExit, match=r"^error: .*x\.pt: no such checkpoint"):
        oracles.main()


def test_as_it_is_is_what_eval_measures(monkeypatch, capsys, checkpoint: Path, devkit: Path):
    net, spec = net_from_checkpoint(checkpoint)
    samples = load_dataset(devkit, ["val"], spec.labels)
    expected = mean_ap(evaluate(TorchDetector(net, spec, EVAL_SCORE_THRESHOLD), samples, spec.labels))
    monkeypatch.setattr(sys, "argv", ["oracles", str(checkpoint), f"--data={devkit}"])
    oracles.main()
    assert f"| as it is | {100 * expected:.1f} |" in capsys.readouterr().out
