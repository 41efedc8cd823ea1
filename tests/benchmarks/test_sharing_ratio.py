from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sharing_ratio import measure, table
from export.graph import Layer


def test_formula_and_file_side_by_side():
    """Evenly spread values of 16 have no entropy below 4 bits: file and formula agree but for the record and codes."""
    weight = (
        np.random.default_rng(0).permutation(np.repeat(np.arange(1, 17, dtype=np.float32), 4000)).reshape(64, -1, 1, 1)
    )
    rows = list(measure([Layer("a", "conv", ["image"], weight, np.zeros(64, np.float32)), Layer("b", "relu", ["a"])]))
    assert [(row.name, row.items, row.zeros, row.values) for row in rows] == [
        ("a.weight", 64000, 0, 16),
        ("a.bias", 64, 64, 1),
    ]
    assert rows[0].formula == pytest.approx(64000 * 32 / (16 * 32 + 64000 * 4))
    assert rows[0].measured == pytest.approx(rows[0].formula, rel=0.01)
    assert "| a.weight | 64,000 | 0 % | 16 | 7.98 |" in table(rows)
