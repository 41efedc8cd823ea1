from __future__ import annotations

import math

import numpy as np
import pytest

from train.evaluation.average_precision import Matches, average_precision

# hit or miss, best first; objects; area AP; eleven-point AP
CURVES = {
    "all found": ([1, 1], 2, 1.0, 1.0),
    "nothing detected": ([], 3, 0.0, 0.0),
    "nothing right": ([0, 0], 3, 0.0, 0.0),
    "half found": ([1], 2, 0.5, 6 / 11),
    "miss first": ([0, 1], 1, 0.5, 0.5),
    "miss between": ([1, 0, 1], 2, 0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11),
    "misses last cost nothing": ([1, 0, 0, 0], 1, 1.0, 1.0),
    "recall exactly 0.3": ([1, 1, 1], 10, 0.3, 4 / 11),
}


@pytest.mark.parametrize(("true_positive", "objects", "area", "eleven"), CURVES.values(), ids=CURVES)
def test_known_curves(true_positive: list[int], objects: int, area: float, eleven: float):
    matches = Matches(np.linspace(0.9, 0.1, len(true_positive)), np.array(true_positive, bool), objects)
    assert average_precision(matches) == pytest.approx(area, abs=1e-12)
    assert average_precision(matches, eleven_point=True) == pytest.approx(eleven, abs=1e-12)


@pytest.mark.parametrize("true_positive", [[], [False]])
def test_a_class_without_objects_has_no_ap(true_positive: list[bool]):
    assert math.isnan(average_precision(Matches(np.full(len(true_positive), 0.5), np.array(true_positive, bool), 0)))


# scores and hits, best first; objects; the best threshold and its F1 = 2 hits / (detections + objects)
THRESHOLDS = {
    "all right": ([0.9, 0.5], [1, 1], 2, 0.5, 1.0),
    "a wrong one last": ([0.9, 0.5, 0.2], [1, 1, 0], 2, 0.5, 1.0),
    "not worth the misses": ([0.9, 0.5, 0.4, 0.3], [1, 0, 0, 1], 2, 0.9, 2 / 3),
    "equal scores go together": ([0.5, 0.5, 0.5], [1, 0, 0], 1, 0.5, 0.5),
    "nothing right": ([0.5], [0], 3, 1.0, 0.0),
    "nothing detected": ([], [], 3, 1.0, 0.0),
}


@pytest.mark.parametrize(("scores", "true_positive", "objects", "threshold", "f1"), THRESHOLDS.values(), ids=THRESHOLDS)
def test_the_best_threshold(scores: list[float], true_positive: list[int], objects: int, threshold: float, f1: float):
    matches = Matches(np.array(scores), np.array(true_positive, bool), objects)
    assert matches.best_threshold() == pytest.approx((threshold, f1))


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    matches = Matches(np.linspace(0.9, 0.1, 5), np.array([1, 0, 1, 1, 0], bool), 4)
    precision, recall = matches.precision_recall()
    np.testing.assert_allclose(matches.f1(), 2 * precision * recall / (precision + recall))
