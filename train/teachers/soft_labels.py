"""What a teacher takes an object for: soft class targets (distillation, arXiv 1503.02531) from its detections."""

from __future__ import annotations

import numpy as np

from sqdet_cv.boxes.ops import box_iou
from sqdet_cv.detections import Detections

# Teachers say all that they think likelier than this: a weak box of one may confirm that of another, and what else an
# object could be is what the shares are about.
TEACHER_THRESHOLD = 0.02


def class_shares(
    boxes_xyxy: np.ndarray, found: Detections, num_classes: int, *, doubt: float, same_iou: float
) -> np.ndarray:
    """(n, num_classes) float32, each row summing to 1, or 0 where the teacher does not see the object: of each class
    the best score of its detections that overlap the box by more than `same_iou`, divided by their sum.

    Args:
        boxes_xyxy: (n, 4) of the objects, in pixels of the image that `found` is about.
        doubt: the object is not seen where all its scores are below.

    >>> found = Detections([(0, 0, 8, 8), (0, 0, 8, 9)], [0, 2], [0.6, 0.2], ["cat", "dog"])
    >>> class_shares(np.float32([[0, 0, 8, 8]]), found, 3, doubt=0.1, same_iou=0.5)
    array([[0.75, 0.  , 0.25]], dtype=float32)
    """
    best = np.zeros((len(boxes_xyxy), num_classes), np.float32)
    if len(boxes_xyxy) and len(found):
        objects, near = np.nonzero(box_iou(np.asarray(boxes_xyxy, np.float32), found.boxes_xyxy) > same_iou)
        np.maximum.at(best, (objects, found.class_ids[near]), found.scores[near])
    best[best.max(axis=1) < doubt] = 0
    return best / np.maximum(best.sum(axis=1, keepdims=True), 1e-9)
