"""The net of a checkpoint at another input size, or with its border cells cut off."""

from __future__ import annotations

import dataclasses

from sqdet_cv.spec.detector_spec import ModelSpec
from train.checkpoints.native import net_from_checkpoint
from train.models.squeezedet import SqueezeDet

from .errors import ExportError


def load_detector(checkpoint: str, input_wh: tuple[int, int] | None = None) -> tuple[SqueezeDet, ModelSpec]:
    """The net of a checkpoint and its spec at the input size, its own if None; nothing cropped yet."""
    net, spec = net_from_checkpoint(checkpoint)
    if input_wh:
        spec = spec.resized(input_wh, net.grid_hw(input_wh))
    return net, spec


def cropped(spec: ModelSpec, rings: int) -> ModelSpec:
    """The spec of the same net with rings of cells cut off its grid."""
    rows, columns = (cells - 2 * rings for cells in spec.grid_hw)
    if rings < 0 or min(rows, columns) < 1:
        raise ExportError(f"--crop {rings}: the grid of {spec.grid_hw[0]} x {spec.grid_hw[1]} cells leaves none")
    return dataclasses.replace(spec, grid_hw=(rows, columns), grid_inset=spec.grid_inset + rings)
