from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tests.train.evaluation.evaluation_cases import CAT, LABELS, make_found, make_sample, random_photos
from train.evaluation.calibration import calibration
from train.evaluation.evaluate import Evaluation, evaluate_fully
from train.evaluation.matching import Outcome
from train.evaluation.plots import (
    BLUE,
    OUTCOME_COLOURS,
    plot_calibration,
    plot_confusion,
    plot_error_split,
    plot_f1,
    plot_precision_recall,
    plot_sizes,
)

BOX, FAR = (0, 0, 40, 40), (100, 100, 150, 150)
CASES = {
    "random": random_photos(3, objects=6, detections=12),
    "nothing detected": [(make_found([]), make_sample([(CAT, BOX)]))],
    "nothing there": [(make_found([(CAT, 0.9, BOX)]), make_sample([]))],
}


def _evaluation(case: str) -> Evaluation:
    return evaluate_fully(*zip(*CASES[case]), LABELS)


def _plots(e: Evaluation) -> dict[str, bytes]:
    return {
        "precision and recall": plot_precision_recall(e.curves, e.labels),
        "F1": plot_f1(e.curves, e.labels, e.all_classes, e.score),
        "calibration": plot_calibration(calibration(e.all_classes)),
        "confusion": plot_confusion(e.confusion, e.labels),
        "errors": plot_error_split(e.errors, e.labels),
        "sizes": plot_sizes(e.coco),
    }


def _pixels(png: bytes, colour: str) -> int:
    """How many pixels have about this colour."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return int((np.abs(image - 255 * np.array(to_rgb(colour))).max(axis=2) < 4).sum())


@pytest.mark.parametrize("case", CASES)
def test_every_plot_is_a_picture_whatever_was_found(case: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib says so where it finds nothing to show
        plots = _plots(_evaluation(case))
    for png in plots.values():
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        assert min(image.shape[:2]) > 200


def test_bars_are_as_long_as_their_counts():
    """Two right and one wrong detection of a cat: the green of the left bar is twice the grey; the right one is all
    green, since both cats are found."""
    found = make_found([(CAT, 0.9, BOX), (CAT, 0.8, FAR), (CAT, 0.7, (0, 100, 40, 140))])
    e = evaluate_fully([found], [make_sample([(CAT, BOX), (CAT, FAR)])], LABELS, 0.5)
    png = plot_error_split(e.errors, e.labels)
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    left = cv2.imencode(".png", image[100:, : image.shape[1] // 2])[1].tobytes()  # below the legend
    green, grey = (_pixels(left, OUTCOME_COLOURS[kind]) for kind in (Outcome.RIGHT, Outcome.BACKGROUND))
    assert green > 1000
    assert green / grey == pytest.approx(2, rel=0.05)


def test_the_curve_of_a_class_without_objects_is_not_drawn():
    e = _evaluation("nothing there")
    assert _pixels(plot_precision_recall(e.curves, e.labels), BLUE) == 0
    e = _evaluation("random")
    assert _pixels(plot_precision_recall(e.curves, e.labels), BLUE) > 50


def test_many_classes_are_shaded_without_numbers(monkeypatch):
    """Twice the counts are the same shades: only numbers tell the two apart."""
    matrix = np.diag([5, 5, 5, 0])
    assert plot_confusion(matrix, LABELS) != plot_confusion(2 * matrix, LABELS)
    monkeypatch.setattr("train.evaluation.plots.MOST_NUMBERED", 2)
    assert plot_confusion(matrix, LABELS) == plot_confusion(2 * matrix, LABELS)
