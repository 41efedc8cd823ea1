"""The training targets: the objects of one image to one row per anchor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqdet_cv.boxes.ops import box_iou, cxcywh_to_xyxy, encode, xyxy_to_cxcywh
from sqdet_cv.spec.detector_spec import ModelSpec

POSITIVE_IOU = 0.5  # above it an anchor is responsible for the object
IGNORE_IOU = 0.4  # between the two it is neither rewarded nor punished
# A grid of one stride has 80 anchors above POSITIVE_IOU for a large object and none for a small one, which would then
# not count. So the best few anchors of an object are responsible for it from a smaller overlap on (as ATSS, arXiv
# 1912.02424, takes its positives from the nearest anchors), and all its anchors together weigh at most MOST_WEIGHT.
BEST_FEW, FEW_IOU = 4, 0.3
MOST_WEIGHT = 8.0


@dataclass(frozen=True, eq=False)
class Targets:
    """One row per anchor, A = num_anchors.

    Attributes:
        boxes_xyxy: (A, 4) float32, the object's box in input pixels where positive, else 0.
        deltas: (A, 4) float32, that box encoded; else 0.
        class_ids: (A,) int64, else 0.
        class_probabilities: (A, C) float32, of the object where positive, else 0.
        positive_weight: (A,) float32: where the anchor is responsible for an object, its weight; less where more than
            MOST_WEIGHT anchors are; else 0.
        negative: (A,) bool: the anchor should predict "nothing here". Others that are not positive are ignored.
        near_ignored: (A,) bool: the anchor overlaps an `ignore` object above IGNORE_IOU.
    """

    boxes_xyxy: np.ndarray
    deltas: np.ndarray
    class_ids: np.ndarray
    class_probabilities: np.ndarray
    positive_weight: np.ndarray
    negative: np.ndarray
    near_ignored: np.ndarray


def assign(
    boxes_xyxy: np.ndarray,
    class_ids: np.ndarray,
    ignore: np.ndarray,
    weights: np.ndarray,
    class_probabilities: np.ndarray,
    spec: ModelSpec,
) -> Targets:
    """Positives: anchors with IoU above POSITIVE_IOU with an object, the BEST_FEW of each object if above FEW_IOU, and
    for each object the best anchor that no other object has taken (the paper's unique assignment; when no anchor
    overlaps it, the nearest one). An anchor is for the object that it overlaps most.
    Anchors above IGNORE_IOU with any object, `ignore` ones included, are not negatives.

    Args:
        boxes_xyxy: (n, 4) in input pixels, of positive area; class_ids, ignore, weights: (n,), as in Sample.
        class_probabilities: (n, C), as there.
    """
    count = spec.num_anchors
    owner = np.full(count, -1)
    negative, near_ignored = np.ones(count, bool), np.zeros(count, bool)
    if len(boxes_xyxy):
        iou = box_iou(cxcywh_to_xyxy(spec.anchors_cxcywh), boxes_xyxy)
        negative = iou.max(axis=1) < IGNORE_IOU
        near_ignored = iou[:, ignore].max(axis=1, initial=0) >= IGNORE_IOU
        (real,) = np.nonzero(~ignore)
        if len(real):
            best = iou[:, real].argmax(axis=1)
            least = np.full(count, POSITIVE_IOU)
            few = np.argsort(-iou[:, real], axis=0, kind="stable")[:BEST_FEW]  # (BEST_FEW, objects)
            least[few[best[few] == np.arange(len(real))]] = FEW_IOU
            overlapping = iou[np.arange(count), real[best]] > least
            owner[overlapping] = real[best[overlapping]]
            _give_each_object_its_anchor(owner, iou, boxes_xyxy, real, spec)
    (positive,) = np.nonzero(owner >= 0)
    objects = owner[positive]

    targets = Targets(
        np.zeros((count, 4), np.float32),
        np.zeros((count, 4), np.float32),
        np.zeros(count, np.int64),
        np.zeros((count, spec.num_classes), np.float32),
        np.zeros(count, np.float32),
        negative & (owner < 0),
        near_ignored,
    )
    targets.boxes_xyxy[positive] = boxes_xyxy[objects]
    targets.deltas[positive] = encode(boxes_xyxy[objects], spec, positive)
    targets.class_ids[positive] = class_ids[objects]
    targets.class_probabilities[positive] = class_probabilities[objects]
    anchors_of = np.bincount(objects, minlength=len(weights))[objects]
    targets.positive_weight[positive] = weights[objects] * np.minimum(MOST_WEIGHT / anchors_of, 1)
    return targets


def unique_anchors(boxes_xyxy: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """One anchor for each object, by the rule of the paper's own code (BichenWuUCB/squeezeDet, dataset/imdb.py).

    In their order the objects take the free anchor that overlaps them most; where no free one overlaps, the nearest:
    least sum of squared differences of (cx, cy, w, h). The first of equals is taken.
    When all anchors are taken (more objects than anchors, where the original fails), all are free again.

    Args:
        boxes_xyxy: (n, 4) in input pixels.

    Returns:
        (n,) int64 anchor indices; no two are equal while n <= num_anchors.
    """
    anchors = spec.anchors_cxcywh
    iou = box_iou(cxcywh_to_xyxy(anchors), boxes_xyxy)
    taken = np.zeros(len(anchors), bool)
    chosen = np.empty(len(boxes_xyxy), np.int64)
    for i, box_cxcywh in enumerate(xyxy_to_cxcywh(boxes_xyxy)):
        if taken.all():
            taken[:] = False
        chosen[i] = _best_free_anchor(iou[:, i], ((anchors - box_cxcywh) ** 2).sum(axis=1), taken)
        taken[chosen[i]] = True
    return chosen


def _give_each_object_its_anchor(
    owner: np.ndarray, iou: np.ndarray, boxes_xyxy: np.ndarray, real: np.ndarray, spec: ModelSpec
) -> None:
    anchors_xyxy = cxcywh_to_xyxy(spec.anchors_cxcywh)
    taken = np.zeros(len(owner), bool)
    # Objects that overlap their best anchor most choose first.
    for i in real[np.argsort(-iou[:, real].max(axis=0), kind="stable")]:
        anchor = _best_free_anchor(iou[:, i], np.abs(anchors_xyxy - boxes_xyxy[i]).sum(axis=1), taken)
        owner[anchor] = i
        taken[anchor] = True


def _best_free_anchor(iou: np.ndarray, distance: np.ndarray, taken: np.ndarray) -> int:
    """The free anchor of largest IoU with an object; of least distance where none overlaps it. All inputs (A,)."""
    free_iou = np.where(taken, -1, iou)
    anchor = int(free_iou.argmax())
    if free_iou[anchor] <= 0:
        anchor = int(np.where(taken, np.inf, distance).argmin())
    return anchor
