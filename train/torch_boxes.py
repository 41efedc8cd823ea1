"""The two functions of `sqdet_cv.boxes` that training needs on tensors; the tests hold them equal to the NumPy ones."""

from __future__ import annotations

import torch


def decode(deltas_xywh: torch.Tensor, anchors_cxcywh: torch.Tensor, size_delta_cap: float) -> torch.Tensor:
    """(..., A, 4) deltas and (A, 4) anchors to (..., A, 4) boxes_xyxy in input pixels."""
    wh = anchors_cxcywh[:, 2:] * deltas_xywh[..., 2:].clamp(max=size_delta_cap).exp()
    centre = anchors_cxcywh[:, :2] + anchors_cxcywh[:, 2:] * deltas_xywh[..., :2]
    return torch.cat([centre - wh / 2, centre + wh / 2], dim=-1)


def elementwise_iou(a_xyxy: torch.Tensor, b_xyxy: torch.Tensor) -> torch.Tensor:
    """IoU of row i with row i: (n, 4), (n, 4) to (n,)."""
    wh = (torch.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]) - torch.maximum(a_xyxy[:, :2], b_xyxy[:, :2])).clamp(min=0)
    intersection = wh[:, 0] * wh[:, 1]
    area_a = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(dim=1)
    area_b = (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(dim=1)
    return intersection / (area_a + area_b - intersection).clamp(min=1e-9)
