"""The net of a checkpoint at another input size, or with its border cells cut off."""

from __future__ import annotations

import dataclasses

from sqdet_cv.spec.detector_spec import ModelSpec
from train.checkpoints.native import net_from_checkpoint
from train.models import AnyNet

from .errors import ExportError


def load_detector(checkpoint: str, input_wh: tuple[int, int] | None = None) -> tuple[AnyNet, ModelSpec]:
    """The net of a checkpoint and its spec at the input size, its own if None; nothing cropped yet."""
    net, spec = net_from_checkpoint(checkpoint)
    if input_wh:
        spec = spec.resized(input_wh, net.grids_hw(input_wh))
    return net, spec


def cropped(spec: ModelSpec, rings: int) -> ModelSpec:
    """The spec of the same net with rings of cells cut off its grid."""
    if not rings:
        return spec
    if len(spec.grids) > 1:
        raise ExportError(f"--crop {rings}: for a net with one grid; this one has {len(spec.grids)}")
    rows, columns = (cells - 2 * rings for cells in spec.grid.hw)
    if rings < 0 or min(rows, columns) < 1:
        raise ExportError(f"--crop {rings}: the grid of {spec.grid.hw[0]} x {spec.grid.hw[1]} cells leaves none")
    grid = dataclasses.replace(spec.grid, hw=(rows, columns), inset=spec.grid.inset + rings)
    return dataclasses.replace(spec, grids=(grid,))
