from __future__ import annotations

import numpy as np
import pytest

from train.common.errors import TrainError
from train.compress.bit_allocation import bits_by_budget
from train.compress.weight_sharing import cluster_indices


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"wide": rng.normal(size=5000), "two values": rng.choice([-1.0, 1.0], 5000)}


def entropy_bytes(weight: np.ndarray, bits: int) -> float:
    indices, used = cluster_indices(weight, 2**bits)
    shares = np.unique(indices, return_counts=True)[1] / weight.size
    return float(-(shares * np.log2(shares)).sum() * weight.size / 8 + 4 * used)


def test_bits_go_where_they_help(weights: dict[str, np.ndarray]):
    """Two values are exact with one bit."""
    chosen = bits_by_budget(weights, 3200, 6)
    assert chosen["two values"] == 1
    assert chosen["wide"] >= 3


@pytest.mark.parametrize("budget", [1500, 2500, 3500, 10**6])
def test_the_budget_is_used_and_kept(weights: dict[str, np.ndarray], budget: int):
    del weights["two values"]
    chosen = bits_by_budget(weights, budget, 6)["wide"]
    assert entropy_bytes(weights["wide"], chosen) <= budget
    assert chosen == 6 or entropy_bytes(weights["wide"], chosen + 1) > budget


def test_a_budget_too_small_is_said(weights: dict[str, np.ndarray]):
    with pytest.raises(TrainError, match="--budget 1000: with 1 bit in every layer the weights take about 12"):
        bits_by_budget(weights, 1000, 6)
