"""What the net says of a batch, compared with its labels: the losses, in named parts."""

from __future__ import annotations

from .base import PARTS, Loss
from .sqdet import SqdetLoss, SqdetLossConfig
from .squeezedet import SqueezeDetLoss, SqueezeDetLossConfig
from .squeezedet2017 import SqueezeDet2017Loss, SqueezeDet2017LossConfig
from .task_aligned import TaskAlignedLoss, TaskAlignedLossConfig

# name: (class, its config, where it comes from). FitConfig has a field of the same name for each config.
LOSSES: dict[str, tuple[type[Loss], type, str]] = {
    "sqdet": (SqdetLoss, SqdetLossConfig, "the paper's four terms, each better conditioned"),
    "squeezedet2017": (
        SqueezeDet2017Loss,
        SqueezeDet2017LossConfig,
        "the forward pass of the 2017 project's Caffe layer SqueezeDetLoss",
    ),
    "squeezedet": (
        SqueezeDetLoss,
        SqueezeDetLossConfig,
        "SqueezeDet, arXiv 1612.01051, as its authors' TensorFlow code computes it",
    ),
    "task_aligned": (
        TaskAlignedLoss,
        TaskAlignedLossConfig,
        "cells chosen by what the net says now, and a dense teacher at every cell; for squeezedet-fpn",
    ),
}
# Other spellings: the command line's, and those of command lines, args.yaml and checkpoints before 0.2.0.
OTHER_NAMES = {"task-aligned": "task_aligned", "ours": "sqdet", "gsoc": "squeezedet2017", "paper": "squeezedet"}

__all__ = [
    "LOSSES",
    "OTHER_NAMES",
    "PARTS",
    "Loss",
    "SqdetLoss",
    "SqdetLossConfig",
    "SqueezeDet2017Loss",
    "SqueezeDet2017LossConfig",
    "SqueezeDetLoss",
    "SqueezeDetLossConfig",
    "TaskAlignedLoss",
    "TaskAlignedLossConfig",
]
