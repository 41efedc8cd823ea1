from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import slow_iou
from train.anchors import cluster_shapes, shape_iou


@given(st.integers(0, 2**32 - 1))
def test_shape_iou_is_that_of_centred_boxes(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(1, 100, (3, 2)), rng.uniform(1, 100, (4, 2))
    expected = [[slow_iou(np.r_[-p / 2, p / 2], np.r_[-q / 2, q / 2]) for q in b] for p in a]
    np.testing.assert_allclose(shape_iou(a, b), expected)


def test_clear_clusters_are_found_whatever_the_seed():
    rng = np.random.default_rng(0)
    truth = np.array([[8, 10], [30, 12], [40, 60]])
    shapes = (truth[:, None] * rng.uniform(0.95, 1.05, (3, 50, 2))).reshape(-1, 2)
    for seed in range(5):
        np.testing.assert_allclose(cluster_shapes(rng.permutation(shapes), 3, seed), truth, rtol=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_result_is_a_fixed_point_by_area(seed: int, count: int):
    shapes = np.random.default_rng(seed).uniform(5, 300, (60, 2))
    centres = cluster_shapes(shapes, count, seed)
    assert centres.shape == (count, 2)
    assert (np.diff(centres.prod(axis=1)) >= 0).all()
    owner = shape_iou(shapes, centres).argmax(axis=1)
    for k in range(count):
        np.testing.assert_allclose(centres[k], shapes[owner == k].mean(axis=0))
    np.testing.assert_array_equal(centres, cluster_shapes(shapes, count, seed))


EQUAL = {"all equal": np.full((6, 2), 7.0), "as many as clusters": np.array([[1.0, 2], [30, 4], [5, 60], [70, 80]])}


@pytest.mark.parametrize("shapes", EQUAL.values(), ids=EQUAL)
def test_few_different_shapes(shapes: np.ndarray):
    centres = cluster_shapes(shapes, 4)
    assert {tuple(centre) for centre in centres} == {tuple(shape) for shape in shapes}
