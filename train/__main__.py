"""python -m train COMMAND"""

from __future__ import annotations

import sys

from sqdet_cv.cli.frame import run_command
from sqdet_cv.errors import SqdetError

from .common.errors import TrainError
from .common.packages import needs_packages

with needs_packages("python -m train"):
    from .commands import (
        anchors,
        average,
        classify,
        compress,
        crops,
        diagnose,
        evaluate,
        fit,
        import_trial,
        label,
        models,
        sensitivity,
        show_data,
        tune,
    )

COMMANDS = {
    "fit": (fit, "train a detector"),
    "tune": (tune, "the best value of one option, by short runs"),
    "eval": (evaluate, "average precision of a model, per class"),
    "classify": (classify, "train a SqueezeNet classifier"),
    "crops": (crops, "the boxes of a data set as images to classify"),
    "compress": (compress, "prune a detector and share its weights, with retraining"),
    "import-trial": (import_trial, "the trial's weights of squeezedet-fpn as a checkpoint"),
    "average": (average, "the mean of several nets' weights"),
    "sensitivity": (sensitivity, "what it costs to prune one layer, or to let it share weights"),
    "label": (label, "complete a data set's labels with a teacher"),
    "anchors": (anchors, "anchor shapes for a data set, and how many are worth having"),
    "show-data": (show_data, "a sheet of augmented samples with their boxes"),
    "diagnose": (diagnose, "images of what goes on inside a net"),
    "models": (models, "parameters, work and size of each net"),
}


def main(argv: list[str] | None = None) -> int:
    return run_command("python -m train", COMMANDS, argv, (TrainError, SqdetError))


if __name__ == "__main__":
    sys.exit(main())
