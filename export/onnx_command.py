"""`python -m export onnx`: a checkpoint to an ONNX file for cv2.dnn, with its spec beside it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import onnx

from sqdet_cv.files import atomic_path
from sqdet_cv.spec import ModelSpec
from train.checkpoint import net_from_checkpoint

from .check import EXACT, HALF, check_detector
from .errors import ExportError
from .graph import trace
from .onnx_model import HEADS, INPUT, detector_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint of `python -m train fit`")
    parser.add_argument("--out", help="file to write; NAME.json goes beside it (default: CHECKPOINT with .onnx)")
    parser.add_argument(
        "--head",
        choices=sorted(HEADS),
        default="convdet",
        help="convdet: deltas, class_scores, confidence; decoded: boxes_xyxy in input pixels, scores",
    )
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="input size, e.g. 416 or 640x384 (default: as trained)"
    )
    parser.add_argument(
        "--crop", type=int, default=0, help="rings of grid cells to cut off: 1 turns 25 x 25 into 23 x 23"
    )
    parser.add_argument("--half", action="store_true", help="store the weights as float16: half the bytes")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        size_wh = int(width), int(height or width)
    except ValueError:
        size_wh = (0, 0)
    if min(size_wh) < 32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a side like 416, or WIDTHxHEIGHT, of at least 32 pixels")
    return size_wh


def run(args: argparse.Namespace) -> None:
    out = Path(args.out) if args.out else Path(args.checkpoint).with_suffix(".onnx")
    if out.suffix != ".onnx":
        raise ExportError(f"--out {out}: expected a name that ends in .onnx")
    net, spec = net_from_checkpoint(args.checkpoint)
    if args.size:
        spec = spec.resized(args.size, net.grid_hw(args.size))
    spec = cropped(spec, args.crop)
    model = detector_model(trace(net, INPUT), spec, args.head, crop=args.crop, half=args.half)
    with atomic_path(out) as temporary:
        onnx.save(model, temporary)
        tolerance = HALF if args.half else EXACT
        score_error, box_error = check_detector(temporary, net, spec, args.head, args.crop, tolerance)
    spec.save(out.with_suffix(".json"))
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, {args.head} head, {spec.num_anchors} anchors; OpenCV agrees with "
        f"PyTorch to {score_error:.1e} in scores and {box_error:.1e} px in boxes"
    )


def cropped(spec: ModelSpec, rings: int) -> ModelSpec:
    """The spec of the same net with rings of cells cut off its grid."""
    rows, columns = (cells - 2 * rings for cells in spec.grid_hw)
    if rings < 0 or min(rows, columns) < 1:
        raise ExportError(f"--crop {rings}: the grid of {spec.grid_hw[0]} x {spec.grid_hw[1]} cells leaves none")
    return dataclasses.replace(spec, grid_hw=(rows, columns), grid_inset=spec.grid_inset + rings)
