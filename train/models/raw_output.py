"""What a detector says, as one row per anchor, whatever its grids are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

# Focal-loss prior (arXiv 1708.02002, section 4.1): a new net starts by saying "no object" with 1 %, or the thousands of
# background anchors swamp the first hundred steps.
NO_OBJECT_LOGIT = -4.6


@dataclass
class RawOutput:
    """What the network says before any sigmoid, softmax or decoding; A anchors, C classes.

    Attributes:
        deltas: (N, A, 4), in the spec's delta order.
        class_logits: (N, A, C).
        confidence_logits: (N, A).
    """

    deltas: torch.Tensor
    class_logits: torch.Tensor
    confidence_logits: torch.Tensor


def split_rows(rows: torch.Tensor, num_classes: int) -> RawOutput:
    """(N, A, C + 1 + 4): class logits, confidence, deltas."""
    classes, confidence, deltas = rows.split([num_classes, 1, 4], dim=2)
    return RawOutput(deltas, classes, confidence.squeeze(2))
