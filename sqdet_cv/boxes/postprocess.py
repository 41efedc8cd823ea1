"""Network output to detections: thresholds, suppression, scaling to the image."""

from __future__ import annotations

import cv2
import numpy as np

from ..detections import Detections
from ..spec.detector_spec import ModelSpec
from .ops import clip_boxes, decode

# Candidates that go into suppression, best first. The paper and the 2017 class keep 64, which a crowded image fills
# with the boxes of a few objects. At a score threshold of 0.01, by which AP is measured, the best 400 of the one-grid
# model before the embedded one lost 0.3 points of mAP on val, the best 1000 less than 0.1.
MAX_CANDIDATES = 1000

NMS_THRESHOLD = 0.4  # the paper's
# Of what the embedded model finds above it 71 % are right; F1 is best a little lower (docs/model-card.md).
SCORE_THRESHOLD = 0.3


def select_convdet(
    deltas: np.ndarray,
    class_scores: np.ndarray,
    confidence: np.ndarray,
    spec: ModelSpec,
    score_threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates of one image from the three raw tensors of the `convdet` head.

    Args:
        deltas: (A, 4); class_scores: (A, C), softmax over C; confidence: (A,) in [0, 1].
        score_threshold: a candidate's confidence x class score is above it.

    Returns:
        boxes_xyxy (n, 4) in input pixels, class_ids (n,), scores (n,), best first, at most MAX_CANDIDATES.
        An anchor can give several candidates, one per class.
    """
    # The class score is at most 1: an anchor whose confidence is below the threshold can give nothing.
    (anchor_ids,) = np.nonzero(confidence > score_threshold)
    scores = class_scores[anchor_ids] * confidence[anchor_ids, None]
    rows, class_ids, scores = _best(scores, score_threshold)
    anchor_ids = anchor_ids[rows]
    return decode(deltas[anchor_ids], spec, anchor_ids), class_ids, scores


def select_decoded(
    boxes_xyxy: np.ndarray, scores: np.ndarray, score_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates of one image from the `decoded` head: (A, 4) input pixels and (A, C) scores. As `select_convdet`."""
    rows, class_ids, scores = _best(scores, score_threshold)
    return boxes_xyxy[rows], class_ids, scores


def _best(scores: np.ndarray, score_threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, C) scores to rows, class ids and scores above the threshold, best first; ties by row, then class."""
    rows, class_ids = np.nonzero(scores > score_threshold)
    chosen = scores[rows, class_ids]
    order = np.argsort(-chosen, kind="stable")[:MAX_CANDIDATES]
    return rows[order], class_ids[order], chosen[order]


def suppress(boxes_xyxy: np.ndarray, class_ids: np.ndarray, scores: np.ndarray, nms_threshold: float) -> np.ndarray:
    """Greedy non-maximum suppression within each class; the indices of the boxes that stay, best first.

    A box goes when its IoU with a better one that stays is above `nms_threshold`.
    """
    if len(boxes_xyxy) == 0:
        return np.zeros(0, np.int64)
    # OpenCV keeps the classes apart by shifting each by the largest coordinate: none may be negative.
    corners = boxes_xyxy.astype(np.float64) - boxes_xyxy.min()
    boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    found = cv2.dnn.NMSBoxesBatched(boxes_xywh.tolist(), scores.tolist(), class_ids.tolist(), 0.0, nms_threshold)
    keep = np.asarray(found, np.int64).reshape(-1)
    return keep[np.argsort(-scores[keep], kind="stable")]


def finish(
    boxes_xyxy: np.ndarray,
    class_ids: np.ndarray,
    scores: np.ndarray,
    spec: ModelSpec,
    image_wh: tuple[float, float],
    nms_threshold: float,
) -> Detections:
    """Candidates in input pixels to `Detections` in pixels of an image of size image_wh.

    Boxes are clipped before they are suppressed, as in the paper's code: what lies outside the image does not count,
    and a box that lies wholly outside is dropped.
    """
    boxes_xyxy = clip_boxes(boxes_xyxy, spec.input_wh)
    inside = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    boxes_xyxy, class_ids, scores = boxes_xyxy[inside], class_ids[inside], scores[inside]
    keep = suppress(boxes_xyxy, class_ids, scores, nms_threshold)
    to_image = np.tile(np.asarray(image_wh, np.float32) / np.asarray(spec.input_wh, np.float32), 2)
    boxes = clip_boxes(boxes_xyxy[keep] * to_image, image_wh)  # again: rounding can carry a corner past the border
    labels = tuple(spec.labels[i] for i in class_ids[keep])
    return Detections(boxes, class_ids[keep], scores[keep], labels)
