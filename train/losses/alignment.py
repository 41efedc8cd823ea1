"""Task-aligned assignment (TOOD, arXiv 2108.07755): which cells are to find which object, by what the net says now."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import paired_box_iou

# An object's cells are looked for where its longest side is between so many of their strides, or, for smaller objects,
# on the finest grid.
SMALLEST, LARGEST = 0.7, 14.0
NEAR = 0.75  # a cell within so many strides of an object's centre may be its own, however small the object is
SCORE_POWER, IOU_POWER = 0.5, 4  # of the alignment: score^0.5 * IoU^4
TINY = 1e-9


class Assignment(NamedTuple):
    """Of N images with A cells each and M objects in all.

    Attributes:
        object_ids: (N, A) int64, the object that a cell is to find; -1: none.
        weight: (N, A), 0 for a cell without an object. Over the cells of an object its maximum is the best IoU that
            they have with it, and the others have shares of that by their alignment.
    """

    object_ids: Tensor
    weight: Tensor


@torch.no_grad()
def assign_aligned(
    scores: Tensor,
    boxes_xyxy: Tensor,
    object_boxes_xyxy: Tensor,
    object_class_ids: Tensor,
    object_image_ids: Tensor,
    centres_xy: Tensor,
    strides: Tensor,
    cells: int,
) -> Assignment:
    """For each object the cells with the highest alignment of those that `may_find` it; a cell that several objects
    want is for the one that its box overlaps most, among equals the first.

    Args:
        scores: (N, A, C) confidence x class score; boxes_xyxy: (N, A, 4). What the net says now, in input pixels.
        object_boxes_xyxy: (M, 4); object_class_ids, object_image_ids: (M,).
        centres_xy: (A, 2) of the cells' anchors, in input pixels; strides: (A,).
        cells: most cells of an object.
    """
    count, images, anchors = len(object_boxes_xyxy), *scores.shape[:2]
    if not count:
        return Assignment(scores.new_full((images, anchors), -1, dtype=torch.int64), scores.new_zeros(images, anchors))
    iou = paired_box_iou(boxes_xyxy[object_image_ids], object_boxes_xyxy[:, None], TINY)  # (M, A)
    score = scores[object_image_ids, :, object_class_ids]
    possible = may_find(object_boxes_xyxy, centres_xy, strides)
    alignment = (score**SCORE_POWER * iou**IOU_POWER + TINY) * possible
    best = alignment.topk(min(cells, anchors), dim=1)
    wanted = torch.zeros_like(possible).scatter_(1, best.indices, best.values > 0)

    # Of the objects of an image that want a cell, the one of highest IoU gets it.
    rows = object_image_ids[:, None].expand(count, anchors)
    highest = iou.new_full((images, anchors), -1.0).scatter_reduce(0, rows, iou.where(wanted, -1.0), "amax")
    is_best = wanted & (iou == highest[object_image_ids])
    numbers = torch.arange(count, device=iou.device)[:, None].expand(count, anchors)
    first = numbers.new_full((images, anchors), count).scatter_reduce(0, rows, numbers.where(is_best, count), "amin")
    own = is_best & (first[object_image_ids] == numbers)

    alignment, iou = alignment * own, iou * own
    weight = alignment / alignment.amax(1, keepdim=True).clamp(min=TINY) * iou.amax(1, keepdim=True)
    weights = weight.new_zeros(images, anchors).index_add_(0, object_image_ids, weight)
    return Assignment(first.where(first < count, -1), weights)


def may_find(object_boxes_xyxy: Tensor, centres_xy: Tensor, strides: Tensor) -> Tensor:
    """(M, A) bool: the cell's centre lies in the object or near its centre, and its stride fits the object's size.

    Args:
        object_boxes_xyxy: (M, 4); centres_xy: (A, 2); strides: (A,).
    """
    wh = object_boxes_xyxy[:, 2:] - object_boxes_xyxy[:, :2]
    middles = (object_boxes_xyxy[:, :2] + object_boxes_xyxy[:, 2:]) / 2
    reach = torch.maximum(wh[:, None] / 2, NEAR * strides[:, None])
    inside = ((centres_xy - middles[:, None]).abs() <= reach).all(dim=2)
    side = wh.amax(dim=1)[:, None] / strides
    return inside & (side <= LARGEST) & ((side >= SMALLEST) | (strides == strides.min()))


@torch.no_grad()
def covered(boxes_xyxy: Tensor, ignored_boxes_xyxy: Tensor, ignored_image_ids: Tensor) -> Tensor:
    """(N, A) bool: more than half of the box lies in one object of its image that is neither right nor wrong."""
    found = boxes_xyxy.new_zeros(boxes_xyxy.shape[:2])
    if not len(ignored_boxes_xyxy):
        return found.bool()
    boxes, around = boxes_xyxy[ignored_image_ids], ignored_boxes_xyxy[:, None]
    low, high = torch.maximum(boxes, around)[..., :2], torch.minimum(boxes, around)[..., 2:]
    inside = (high - low).clamp(min=0).prod(dim=2)
    share = inside / (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=2).clamp(min=TINY)
    rows = ignored_image_ids[:, None].expand_as(share)
    return found.scatter_reduce(0, rows, share, "amax") > 0.5
