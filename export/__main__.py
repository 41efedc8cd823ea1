"""python -m export COMMAND"""

from __future__ import annotations

import sys

from sqdet_cv.errors import SqdetError
from train.commands import run_command
from train.errors import TrainError

from . import onnx_command
from .errors import ExportError

COMMANDS = {"onnx": (onnx_command, "a checkpoint to ONNX for cv2.dnn")}


def main(argv: list[str] | None = None) -> int:
    return run_command("python -m export", COMMANDS, argv, (ExportError, TrainError, SqdetError))


if __name__ == "__main__":
    sys.exit(main())
