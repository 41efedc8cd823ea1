from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.compress.kmeans import STARTS, cluster, first_centroids, nearest

VALUES = np.array([-4.0, -1, -1, 0, 1, 1, 1, 6])
FIRST = {"linear": [-4, 1, 6], "density": np.quantile(VALUES, [1 / 6, 1 / 2, 5 / 6])}


@pytest.mark.parametrize(("start", "expected"), FIRST.items(), ids=FIRST)
def test_first_centroids(start: str, expected: list[float]):
    np.testing.assert_allclose(first_centroids(VALUES, 3, start), expected)


def test_random_first_centroids_are_values_and_hang_on_the_seed():
    values = np.arange(100.0)
    first = [first_centroids(values, 5, "random", seed) for seed in (0, 0, 1)]
    assert np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])
    assert set(first[0]) <= set(values)


def test_an_unknown_start_is_named():
    with pytest.raises(ValueError, match="'best': there are linear, density, random"):
        first_centroids(VALUES, 3, "best")


def slow_lloyd(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The textbook's loop over all distances."""
    while True:
        owner = np.abs(values[:, None] - centroids).argmin(axis=1)
        moved = np.array([values[owner == i].mean() for i in range(len(centroids)) if (owner == i).any()])
        if len(moved) == len(centroids) and np.allclose(moved, centroids, rtol=0, atol=1e-12):
            return moved
        centroids = moved


@pytest.mark.parametrize("start", STARTS)
def test_it_is_lloyds_algorithm(start: str):
    values = np.sort(np.random.default_rng(3).normal(size=500))
    expected = slow_lloyd(values, first_centroids(values, 8, start))
    np.testing.assert_allclose(cluster(values, 8, start), expected, atol=1e-9)


@pytest.mark.parametrize("start", STARTS)
def test_separate_heaps_are_found(start: str):
    rng = np.random.default_rng(0)
    values = np.concatenate([centre + rng.uniform(-0.1, 0.1, 50) for centre in (-9.0, 0.0, 9.0)])
    if start == "random":  # the one that can begin with two centroids in a heap, and stay so
        best = min((cluster(values, 3, start, seed) for seed in range(10)), key=lambda c: distance(values, c))
    else:
        best = cluster(values, 3, start)
    np.testing.assert_allclose(best, [-9, 0, 9], atol=0.1)


def test_no_centroid_is_wasted_on_the_hole_that_pruning_leaves():
    values = np.random.default_rng(1).normal(size=2000)
    values = values[np.abs(values) > 1]
    assert len(cluster(values, 32)) == 32
    owners = np.bincount(nearest(values, cluster(values, 32)), minlength=32)
    assert owners.min() > 0


def distance(values: np.ndarray, centroids: np.ndarray) -> float:
    return float(((values - centroids[nearest(values, centroids)]) ** 2).sum())


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), st.integers(1, 8), st.sampled_from(STARTS))
def test_any_values(values: list[float], k: int, start: str):
    values = np.array(values)
    centroids = cluster(values, k, start)
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
