"""The functions of `sqdet_cv.boxes.ops` that training needs on tensors; the tests hold them equal to the NumPy ones."""

from __future__ import annotations

import torch


def to_xywh(deltas: torch.Tensor, delta_order: str) -> torch.Tensor:
    """(..., 4) deltas in a spec's `delta_order` to dx, dy, dw, dh."""
    return deltas if delta_order == "xywh" else deltas[..., [0, 1, 3, 2]]


def decode(deltas_xywh: torch.Tensor, anchors_cxcywh: torch.Tensor, size_delta_cap: float) -> torch.Tensor:
    """(..., A, 4) deltas and (A, 4) anchors to (..., A, 4) boxes_xyxy in input pixels."""
    wh = anchors_cxcywh[:, 2:] * deltas_xywh[..., 2:].clamp(max=size_delta_cap).exp()
    centre = anchors_cxcywh[:, :2] + anchors_cxcywh[:, 2:] * deltas_xywh[..., :2]
    return torch.cat([centre - wh / 2, centre + wh / 2], dim=-1)


def encode(boxes_xyxy: torch.Tensor, anchors_cxcywh: torch.Tensor, smallest: float = 0.0) -> torch.Tensor:
    """(M, 4) boxes to (M, 4) deltas_xywh from the anchor of each, (M, 4); sides count as `smallest` pixels at least."""
    wh = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clamp(min=smallest)
    centre = ((boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 - anchors_cxcywh[:, :2]) / anchors_cxcywh[:, 2:]
    return torch.cat([centre, torch.log(wh / anchors_cxcywh[:, 2:])], dim=1)


def paired_box_iou(a_xyxy: torch.Tensor, b_xyxy: torch.Tensor, epsilon: float = 0.0) -> torch.Tensor:
    """IoU of each box with its counterpart: (..., 4), (..., 4) to (...), broadcast. `epsilon` is added to the union."""
    top_left, bottom_right = torch.maximum(a_xyxy, b_xyxy)[..., :2], torch.minimum(a_xyxy, b_xyxy)[..., 2:]
    intersection = (bottom_right - top_left).clamp(min=0).prod(dim=-1)
    area_a = (a_xyxy[..., 2:] - a_xyxy[..., :2]).prod(dim=-1)
    area_b = (b_xyxy[..., 2:] - b_xyxy[..., :2]).prod(dim=-1)
    return intersection / (area_a + area_b - intersection + epsilon).clamp(min=1e-9)


def generalised_iou(a_xyxy: torch.Tensor, b_xyxy: torch.Tensor) -> torch.Tensor:
    """GIoU (arXiv 1902.09630) of each box with its counterpart, (..., 4) and (..., 4) to (...), in [-1, 1]: the IoU,
    less the share of the smallest box around both that neither covers."""
    area = lambda box: (box[..., 2:] - box[..., :2]).clamp(min=0).prod(dim=-1)  # noqa: E731
    low, high = torch.maximum(a_xyxy, b_xyxy), torch.minimum(a_xyxy, b_xyxy)
    intersection = (high[..., 2:] - low[..., :2]).clamp(min=0).prod(dim=-1)
    union = area(a_xyxy) + area(b_xyxy) - intersection
    hull = (low[..., 2:] - high[..., :2]).prod(dim=-1)
    return intersection / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
