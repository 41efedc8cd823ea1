"""`python -m export release`: one detector as all that is released of it: ONNX, packed and, with OpenCV 4, Caffe."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import cv2

from sqdet_cv.dnn.caffe import has_caffe_importer

from ..errors import ExportError
from . import caffe as caffe_command
from . import onnx as onnx_command
from . import packed as packed_command
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
    out = Path(args.out)
    if out.suffix:
        raise ExportError(f"--out {out}: expected a name without an ending")
    words = [args.checkpoint, *(["--size", "{}x{}".format(*args.size)] if args.size else [])]
    onnx = out.with_suffix(".onnx")
    _run(onnx_command, [*words, "--out", str(onnx)])
    _run(packed_command, [str(onnx), "--out", str(out.with_suffix(".sqdet"))])
    if has_caffe_importer():
        _run(caffe_command, [*words, "--out", str(out.with_suffix(".caffemodel"))])
    else:  # what cannot be run is not written
        print(
            f"{out}.caffemodel: not written: OpenCV {cv2.__version__} has no Caffe importer to run it; use OpenCV 4.x"
        )


def _run(command: ModuleType, words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(words))
