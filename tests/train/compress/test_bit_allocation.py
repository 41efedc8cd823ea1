from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from train.common.errors import TrainError
from train.compress.bit_allocation import bits_by_budget, bits_by_scan
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


SCAN = {"map": 0.5, "shared": {"a": {"1": 0.3, "2": 0.499, "3": 0.5}, "b": {"1": 0.499, "2": 0.4, "3": 0.499}}}


@pytest.mark.parametrize(
    ("most", "max_drop", "expected"),
    [
        pytest.param(6, 0.5, {"a": 2, "b": 3}, id="the first step that costs too much ends it"),
        pytest.param(6, 0.0, {"a": 3, "b": 6}, id="no drop at all"),
        pytest.param(6, 50.0, {"a": 1, "b": 1}, id="any drop"),
        pytest.param(2, 0.5, {"a": 2, "b": 2}, id="never above the most"),
    ],
)
def test_bits_by_scan(tmp_path: Path, most: int, max_drop: float, expected: dict):
    (tmp_path / "a.json").write_text(json.dumps(SCAN))
    assert bits_by_scan(tmp_path / "a.json", ["a", "b"], most, max_drop) == expected


BAD = {
    "text": ("hello", "not a sensitivity.json"),
    "a list": ("[]", "not a sensitivity.json"),
    "no map": ('{"shared": {}}', "not a sensitivity.json"),
    "another net": (json.dumps(SCAN), "has no layer c"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_scan_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(TrainError, match=message):
        bits_by_scan(tmp_path / "a.json", ["a", "b", "c"], 6, 0.5)
