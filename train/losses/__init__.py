"""An answer of the net and a batch to the named parts of a loss."""

from __future__ import annotations

from .base import PARTS, Loss
from .gsoc import SqueezeDet2017Loss, SqueezeDet2017LossConfig
from .paper import SqueezeDetLoss, SqueezeDetLossConfig
from .sqdet import SqdetLoss, SqdetLossConfig

# name: (class, its config, where it comes from). FitConfig has a field of the same name for each config.
LOSSES: dict[str, tuple[type[Loss], type, str]] = {
    "ours": (SqdetLoss, SqdetLossConfig, "the paper's four terms, each better conditioned"),
    "gsoc": (
        SqueezeDet2017Loss,
        SqueezeDet2017LossConfig,
        "the Caffe layer SqueezeDetLoss of the 2017 project, its forward",
    ),
    "paper": (
        SqueezeDetLoss,
        SqueezeDetLossConfig,
        "SqueezeDet, arXiv 1612.01051, as its authors' TensorFlow code computes it",
    ),
}

__all__ = [
    "LOSSES",
    "PARTS",
    "SqueezeDet2017LossConfig",
    "SqueezeDet2017Loss",
    "Loss",
    "SqdetLossConfig",
    "SqdetLoss",
    "SqueezeDetLossConfig",
    "SqueezeDetLoss",
]
