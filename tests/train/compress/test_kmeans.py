from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.compress.kmeans import cluster, nearest


def slow_lloyd(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The textbook's loop over all distances."""
    while True:
        owner = np.abs(values[:, None] - centroids).argmin(axis=1)
        moved = np.array([values[owner == i].mean() for i in range(len(centroids)) if (owner == i).any()])
        if len(moved) == len(centroids) and np.allclose(moved, centroids, rtol=0, atol=1e-12):
            return moved
        centroids = moved


def test_it_is_lloyds_algorithm():
    values = np.sort(np.random.default_rng(3).normal(size=500))
    expected = slow_lloyd(values, np.linspace(values[0], values[-1], 8))
    np.testing.assert_allclose(cluster(values, 8), expected, atol=1e-9)


def test_separate_heaps_are_found():
    rng = np.random.default_rng(0)
    values = np.concatenate([centre + rng.uniform(-0.1, 0.1, 50) for centre in (-9.0, 0.0, 9.0)])
    np.testing.assert_allclose(cluster(values, 3), [-9, 0, 9], atol=0.1)


def test_no_centroid_is_wasted_on_the_hole_that_pruning_leaves():
    values = np.random.default_rng(1).normal(size=2000)
    values = values[np.abs(values) > 1]
    assert len(cluster(values, 32)) == 32
    owners = np.bincount(nearest(values, cluster(values, 32)), minlength=32)
    assert owners.min() > 0


def distance(values: np.ndarray, centroids: np.ndarray) -> float:
    return float(((values - centroids[nearest(values, centroids)]) ** 2).sum())


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), st.integers(1, 8))
def test_any_values(values: list[float], k: int):
    values = np.array(values)
    centroids = cluster(values, k)
    assert len(centroids) == min(k, len(np.unique(values)))
    assert np.all(np.diff(centroids) > 0)
    brute = np.abs(values[:, None] - centroids).min(axis=1)
    np.testing.assert_allclose(np.abs(values - centroids[nearest(values, centroids)]), brute)
    if len(np.unique(values)) <= k:
        assert distance(values, centroids) == 0


def test_it_comes_near_the_best_split():
    """Against all ways to cut twelve sorted numbers into three runs."""
    values = np.sort(np.random.default_rng(5).normal(size=12))
    best = min(
        sum(((part - part.mean()) ** 2).sum() for part in np.split(values, cuts))
        for cuts in itertools.combinations(range(1, 12), 2)
    )
    assert best - 1e-12 <= distance(values, cluster(values, 3)) <= 1.5 * best
