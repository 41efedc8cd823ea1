"""The options that the exports of a detector share."""

from __future__ import annotations

import argparse
from pathlib import Path

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


def output_path(out: str | None, checkpoint: str, suffix: str) -> Path:
    """The file to write: `out`, or the checkpoint's name with the suffix, beside it.

    Raises:
        ExportError: `out` has another suffix; or there is none, and the checkpoint is a released model: what is made of
            that need not belong beside it, as in the package.
    """
    if not out and Path(checkpoint).suffix.lower() != ".pt":
        raise ExportError(f"{checkpoint}: --out NAME{suffix} is needed; only what is made of a .pt goes beside it")
    path = Path(out) if out else Path(checkpoint).with_suffix(suffix)
    if path.suffix != suffix:
        raise ExportError(f"--out {path}: expected a name that ends in {suffix}")
    return path
