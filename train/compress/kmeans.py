"""k-means of numbers: with sorted values and their running sums a round costs k binary searches."""

from __future__ import annotations

import numpy as np

MAX_ROUNDS = 300


def cluster(values: np.ndarray, k: int) -> np.ndarray:
    """Lloyd's k-means until nothing moves: k centroids, ascending float64; fewer if there are fewer distinct values.

    The first centroids lie evenly between the least and the greatest value, so that the few large weights, which matter
    most, get centroids of their own (Deep Compression, arXiv 1510.00149, section 3.2). A pruned layer has a gap around
    zero, where many of them own no value; such a centroid moves to the value that is farthest from its own.

    >>> cluster(np.array([1.0, 1.2, 5.0, 5.2, 9.0]), 3)
    array([1.1, 5.1, 9. ])
    """
    values = np.sort(np.asarray(values, np.float64).reshape(-1))
    distinct = np.unique(values)
    if len(distinct) <= k:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centroids = np.linspace(values[0], values[-1], k)
    for _ in range(MAX_ROUNDS):
        borders = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2, side="right")
        borders = np.concatenate([[0], borders, [len(values)]])
        counts = np.diff(borders)
        used = counts > 0
        moved = np.diff(sums[borders])[used] / counts[used]
        while len(moved) < k:
            farthest = np.abs(values - moved[nearest(values, moved)]).argmax()
            moved = np.insert(moved, np.searchsorted(moved, values[farthest]), values[farthest])
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Which of the ascending centroids is nearest to each value: int64, shaped as `values`."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
