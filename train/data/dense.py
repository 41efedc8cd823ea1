"""What a teacher says at every cell of the student."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DenseTargets:
    """Of N images with A cells each, for the views that the student sees.

    Attributes:
        scores: (N, A, C) in [0, 1], each class by itself: they need not add up to 1.
        boxes_xyxy: (N, A, 4) in input pixels.
    """

    scores: torch.Tensor
    boxes_xyxy: torch.Tensor
