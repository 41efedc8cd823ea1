"""What the exports of a detector have in common: the options, and the net and spec that they ask for."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from sqdet_cv.spec.detector_spec import ModelSpec
from train.checkpoints.native import net_from_checkpoint
from train.models.squeezedet import SqueezeDet

from ..errors import ExportError


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of `python -m train fit`, or an .onnx or .sqdet of this project")
    parser.add_argument(
        "--size", type=size_wh, metavar="WxH", help="input size, e.g. 416 or 640x384 (default: as trained)"
    )
    parser.add_argument("--crop", type=int, help="rings of grid cells to cut off: 1 turns 25 x 25 into 23 x 23")
    parser.add_argument("--half", action="store_true", help="store the weights as float16: half the bytes")


def size_wh(text: str) -> tuple[int, int]:
    """416 -> (416, 416), 640x384 -> (640, 384)"""
    width, _, height = text.lower().partition("x")
    try:
        pair = int(width), int(height or width)
    except ValueError:
        pair = (0, 0)
    if min(pair) < 32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a side like 416, or WIDTHxHEIGHT, of at least 32 pixels")
    return pair


def load(checkpoint: str, input_wh: tuple[int, int] | None) -> tuple[SqueezeDet, ModelSpec]:
    """The net of a checkpoint and its spec at the input size, its own if None; nothing cropped yet."""
    net, spec = net_from_checkpoint(checkpoint)
    if input_wh:
        spec = spec.resized(input_wh, net.grid_hw(input_wh))
    return net, spec


def output_path(out: str | None, checkpoint: str, suffix: str) -> Path:
    """The file to write: `out`, or the checkpoint's name with the suffix, beside it.

    Raises:
        ExportError: `out` has another suffix; or there is none, and the checkpoint is a released model: what is made of
            that need not belong beside it, as in the package.
    """
    if not out and Path(checkpoint).suffix != ".pt":
        raise ExportError(f"{checkpoint}: --out NAME{suffix} is needed; only what is made of a .pt goes beside it")
    path = Path(out) if out else Path(checkpoint).with_suffix(suffix)
    if path.suffix != suffix:
        raise ExportError(f"--out {path}: expected a name that ends in {suffix}")
    return path


def cropped(spec: ModelSpec, rings: int) -> ModelSpec:
    """The spec of the same net with rings of cells cut off its grid."""
    rows, columns = (cells - 2 * rings for cells in spec.grid_hw)
    if rings < 0 or min(rows, columns) < 1:
        raise ExportError(f"--crop {rings}: the grid of {spec.grid_hw[0]} x {spec.grid_hw[1]} cells leaves none")
    return dataclasses.replace(spec, grid_hw=(rows, columns), grid_inset=spec.grid_inset + rings)
