"""python -m train COMMAND"""

from __future__ import annotations

import sys

from sqdet_cv.errors import SqdetError

from . import evaluate, fit, label
from .commands import run_command
from .errors import TrainError

COMMANDS = {
    "fit": (fit, "train a detector"),
    "eval": (evaluate, "average precision of a model, per class"),
    "label": (label, "complete a data set's labels with a teacher"),
}


def main(argv: list[str] | None = None) -> int:
    return run_command("python -m train", COMMANDS, argv, (TrainError, SqdetError))


if __name__ == "__main__":
    sys.exit(main())
