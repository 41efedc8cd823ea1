"""Average precision as the PASCAL VOC devkit computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqdet_cv.boxes import iou_matrix


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of one class over all photos, best first.

    Attributes:
        scores: (n,), falling.
        hit: (n,) bool: the detection found an object that no better one had found.
        objects: how many objects there were to find, difficult ones not counted.
    """

    scores: np.ndarray
    hit: np.ndarray
    objects: int

    def precision_recall(self) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall after each detection, (n,) each."""
        hits = np.cumsum(self.hit)
        return hits / np.arange(1, len(hits) + 1), hits / max(self.objects, 1)


def match_photo(
    boxes_xyxy: np.ndarray, true_boxes_xyxy: np.ndarray, ignore: np.ndarray, iou_threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """One class in one photo. A detection, best first, belongs to the object it overlaps most; if that overlap is at
    least `iou_threshold` it is a hit unless a better detection has taken the object, else it is false. One that
    belongs to a difficult object does not count at all.

    Args:
        boxes_xyxy: (n, 4) detections, best first; true_boxes_xyxy: (m, 4); ignore: (m,) bool, difficult.

    Returns:
        hit (n,) bool and counted (n,) bool.
    """
    hit, counted = np.zeros(len(boxes_xyxy), bool), np.ones(len(boxes_xyxy), bool)
    if len(true_boxes_xyxy) == 0:
        return hit, counted
    iou = iou_matrix(boxes_xyxy, true_boxes_xyxy)
    taken = np.zeros(len(true_boxes_xyxy), bool)
    for i, overlaps in enumerate(iou):
        j = overlaps.argmax()
        if overlaps[j] < iou_threshold:
            continue
        if ignore[j]:
            counted[i] = False
        elif not taken[j]:
            hit[i] = taken[j] = True
    return hit, counted


def average_precision(matches: Matches, eleven_point: bool = False) -> float:
    """Area under the precision envelope (VOC 2010 on), or the mean of it at recall 0, 0.1 ... 1 (VOC 2007).

    NaN when there was no object to find, so that such a class stays out of a mean.
    """
    if matches.objects == 0:
        return float("nan")
    precision, recall = matches.precision_recall()
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # the best precision at this recall or a higher one
    if eleven_point:
        at = np.searchsorted(recall, np.arange(11) / 10 - 1e-12)
        return float(np.append(envelope, 0.0)[at].mean())
    steps = np.diff(recall, prepend=0.0)
    return float((steps * envelope).sum())
