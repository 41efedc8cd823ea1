"""One trial of a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """val_map: of the best epoch, in [0, 1]; 0 for a run whose loss became not finite."""

    value: float
    val_map: float
    diverged: bool = False
