"""The losses that `python -m train fit --loss NAME` knows."""

from __future__ import annotations

from .base import PARTS, Loss
from .gsoc import GsocConfig, GsocLoss
from .paper import PaperConfig, PaperLoss
from .sqdet import OursConfig, OursLoss

# name: (class, its config, where it comes from). FitConfig has a field of the same name for each config.
LOSSES: dict[str, tuple[type[Loss], type, str]] = {
    "ours": (OursLoss, OursConfig, "the paper's four terms, each better conditioned"),
    "gsoc": (GsocLoss, GsocConfig, "the Caffe layer SqueezeDetLoss of the 2017 project, its forward"),
    "paper": (PaperLoss, PaperConfig, "SqueezeDet, arXiv 1612.01051, as its authors' TensorFlow code computes it"),
}

__all__ = [
    "LOSSES",
    "PARTS",
    "GsocConfig",
    "GsocLoss",
    "Loss",
    "OursConfig",
    "OursLoss",
    "PaperConfig",
    "PaperLoss",
]
