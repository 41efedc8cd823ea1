"""Weights that are not numbers, refused where they are read: a net that has some finds nothing, and says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..common.errors import TrainError


def require_finite(path: str | Path, arrays: Mapping[str, torch.Tensor]) -> None:
    """Raises TrainError, which names the file and the array, if one of them holds NaN or an infinite number."""
    for name, values in arrays.items():
        if not values.isfinite().all():
            raise TrainError(f"{path}: {name} holds NaN or infinite numbers; expected finite weights")
