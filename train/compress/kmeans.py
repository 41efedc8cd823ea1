"""k-means of numbers: with sorted values and their running sums a round costs k binary searches."""

from __future__ import annotations

import numpy as np

STARTS = ("linear", "density", "random")
MAX_ROUNDS = 300


def first_centroids(values: np.ndarray, k: int, start: str, seed: int = 0) -> np.ndarray:
    """(k,) float64, ascending (Deep Compression, arXiv 1510.00149, section 3.2).

    Args:
        values: (n,), ascending.
        start: "linear": evenly between least and greatest, so that the few large weights, which matter most, get
            centroids of their own; "density": evenly among the values; "random": k of the values.
    """
    if start == "linear":
        return np.linspace(values[0], values[-1], k)
    if start == "density":
        return np.quantile(values, (np.arange(k) + 0.5) / k)
    if start == "random":
        return np.sort(np.random.default_rng(seed).choice(values, k, replace=False))
    raise ValueError(f"start {start!r}: there are {', '.join(STARTS)}")


def cluster(values: np.ndarray, k: int, start: str = "linear", seed: int = 0) -> np.ndarray:
    """Lloyd's k-means until nothing moves: k centroids, ascending float64; fewer if there are fewer distinct values.

    A centroid that owns nothing goes to the value that is worst served. (A pruned layer has a hole around zero, into
    which a linear start puts many.)

    >>> cluster(np.array([1.0, 1.2, 5.0, 5.2, 9.0]), 3)
    array([1.1, 5.1, 9. ])
    """
    values = np.sort(np.asarray(values, np.float64).reshape(-1))
    distinct = np.unique(values)
    if len(distinct) <= k:
        return distinct
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centroids = first_centroids(values, k, start, seed)
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
