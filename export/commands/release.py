"""`python -m export release`: one detector as all that is released of it: ONNX, packed and, with OpenCV 4, Caffe."""

from __future__ import annotations

import argparse

import cv2

from ..release import export_release
from .options import size_wh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", help="of `python -m train fit` or `compress`, or an .onnx or .sqdet of this project"
    )
    parser.add_argument(
        "--out", required=True, metavar="NAME", help="NAME.onnx, NAME.sqdet, NAME.caffemodel ... are written"
    )
    parser.add_argument("--size", type=size_wh, metavar="WxH", help="input size (default: as trained)")


def run(args: argparse.Namespace) -> None:
    onnx, packed, caffe = export_release(args.checkpoint, args.out, args.size)
    for report in (onnx, caffe):
        if report:
            print(f"{report.path}: {report.bytes / 1e6:.2f} MB; OpenCV agrees with PyTorch to {report}")
    print(
        f"{packed.path}: {packed.bytes} bytes, {packed.onnx_bytes / packed.bytes:.1f} times smaller than the ONNX file"
    )
    if caffe is None:
        reason = f"OpenCV {cv2.__version__} has no Caffe importer to run it; use OpenCV 4.x"
        print(f"{args.out}.caffemodel: not written: {reason}")
