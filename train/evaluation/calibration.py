"""Whether a score is the probability that a detection is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .average_precision import Matches

BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Detections by score, in BINS equal parts of [0, 1].

    Attributes:
        counts: (BINS,) int64.
        mean_score, precision: (BINS,) float64, of the detections in each; NaN where there are none.
        error: the mean distance of the two, each bin weighing as many as it holds (expected calibration error, arXiv
            1706.04599, section 2); NaN without detections.
    """

    counts: np.ndarray
    mean_score: np.ndarray
    precision: np.ndarray
    error: float


def calibration(matches: Matches) -> Calibration:
    """Of the counted detections of an evaluation.

    >>> c = calibration(Matches(np.array([0.95, 0.95, 0.12]), np.array([True, False, False]), 2))
    >>> c.counts[[1, 9]].tolist(), c.precision[9], round(c.error, 3)
    ([1, 2], np.float64(0.5), 0.34)
    """
    bins = np.minimum((matches.scores * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean_score = np.bincount(bins, matches.scores, BINS) / counts
        precision = np.bincount(bins, matches.true_positive, BINS) / counts
    gaps = np.abs(mean_score - precision)[counts > 0]
    error = float((gaps * counts[counts > 0]).sum() / counts.sum()) if counts.any() else float("nan")
    return Calibration(counts, mean_score, precision, error)
