from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.average_precision import Matches
from train.evaluation.calibration import BINS, calibration


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60))
def test_it_is_the_loop_over_the_bins(found: list[tuple[float, bool]]):
    scores, hits = np.array([score for score, _ in found]), np.array([true_positive for _, true_positive in found])
    result = calibration(Matches(scores, hits, len(found)))
    expected = 0.0
    for i in range(BINS):
        mine = [(s, h) for s, h in zip(scores, hits) if i <= s * BINS < i + 1 or (i == BINS - 1 and s == 1)]
        assert result.counts[i] == len(mine)
        if mine:
            score, share = (sum(values) / len(mine) for values in zip(*mine))
            assert result.mean_score[i] == pytest.approx(score)
            assert result.precision[i] == pytest.approx(share)
            expected += abs(score - share) * len(mine) / len(found)
        else:
            assert math.isnan(result.precision[i])
    assert result.error == pytest.approx(expected)


def test_scores_that_are_probabilities_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    assert calibration(Matches(scores, rng.random(200_000) < scores, 1)).error < 0.01
    assert calibration(Matches(scores, rng.random(200_000) < scores / 2, 1)).error == pytest.approx(0.25, abs=0.01)


def test_nothing_found_has_no_error():
    assert math.isnan(calibration(Matches(np.zeros(0), np.zeros(0, bool), 3)).error)
