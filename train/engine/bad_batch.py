"""The batch on which a run ended because its loss was not finite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sqdet_cv.util.atomic_files import atomic_path


def save_bad_batch(
    path: Path, batch: Any, pictures: Sequence[str], parts: dict[str, float], place: dict[str, int], net: nn.Module
) -> None:
    """Writes what it takes to see the same again, for `torch.load(path, weights_only=True)`.

    {"batch": a dict of the tensors, "pictures": their files, "parts": of the loss, "model": the weights that gave it,
    "epoch", "step" and "rank": where it was}
    """
    tensors = batch if isinstance(batch, dict) else vars(batch)
    values = {"batch": dict(tensors), "pictures": list(pictures), "parts": parts, "model": net.state_dict()}
    with atomic_path(path) as temporary:
        torch.save(values | place, temporary)
