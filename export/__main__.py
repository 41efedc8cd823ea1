"""python -m export COMMAND"""

from __future__ import annotations

import sys

from sqdet_cv.cli.frame import run_command
from sqdet_cv.errors import SqdetError
from train.common.errors import TrainError
from train.common.packages import needs_packages

from .errors import ExportError

with needs_packages("python -m export"):
    from .commands import caffe as caffe_command
    from .commands import classifier as classifier_command
    from .commands import onnx as onnx_command
    from .commands import packed as packed_command
    from .commands import release as release_command

COMMANDS = {
    "onnx": (onnx_command, "a checkpoint to ONNX for cv2.dnn"),
    "caffe": (caffe_command, "a checkpoint to Caffe for OpenCV 4 and the C++ class InferBbox"),
    "classifier": (classifier_command, "a SqueezeNet's weights to ONNX, or Caffe, for cv2.dnn"),
    "packed": (packed_command, "an ONNX file, pruned or with shared weights, to a small .sqdet file"),
    "release": (release_command, "a detector as ONNX, packed and Caffe files"),
}


def main(argv: list[str] | None = None) -> int:
    return run_command("python -m export", COMMANDS, argv, (ExportError, TrainError, SqdetError))


if __name__ == "__main__":
    sys.exit(main())
