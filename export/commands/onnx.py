"""`python -m export onnx`: a checkpoint to an ONNX file for cv2.dnn, with its spec beside it."""

from __future__ import annotations

import argparse

from ..errors import ExportError
from ..geometry import load_detector
from ..int8.calibrate import calibration_pictures
from ..int8.export import export_int8
from ..onnx.export import export_onnx
from ..onnx.model import HEADS
from .options import add_common_arguments, output_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)
    parser.add_argument(
        "--out",
        help="file to write; its spec goes beside it too, NAME.json (default: that of a .pt with .onnx)",
    )
    parser.add_argument(
        "--head",
        choices=sorted(HEADS),
        default="convdet",
        help="convdet: deltas, class_scores, confidence; decoded: boxes_xyxy in input pixels, scores",
    )
    parser.add_argument("--int8", action="store_true", help="quantise weights and activations: a quarter of the bytes")
    parser.add_argument(
        "--calibrate",
        metavar="LIST",
        help="for --int8: a folder of images like those to detect in, or a text file with the path of one a line",
    )


def run(args: argparse.Namespace) -> None:
    out = output_path(args.out, args.checkpoint, ".onnx")
    if args.int8 and args.half:
        raise ExportError("--int8 --half: the weights are stored either as int8 or as float16")
    if args.int8 != (args.calibrate is not None):
        raise ExportError("--int8 and --calibrate LIST need each other: the images show which range to quantise")
    images = calibration_pictures(args.calibrate) if args.int8 else []
    net, spec = load_detector(args.checkpoint, args.size)
    if args.int8:
        report = export_int8(net, spec, out, images, head=args.head, crop=args.crop or 0)
        meaning = "every layer is as quantised; from the float net it differs by up to"
    else:
        report = export_onnx(net, spec, out, head=args.head, crop=args.crop or 0, half=args.half)
        meaning = "OpenCV agrees with PyTorch to"
    print(f"{out}: {report.bytes / 1e6:.2f} MB, {args.head} head, {report.anchors} anchors; {meaning} {report}")
