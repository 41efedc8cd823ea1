"""Detections of two engines or processors compared, where the last bit of a score may decide what is suppressed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sqdet_cv.detections import Detections
from tests.helpers import slow_iou

OTHER_BOX_IOU = 0.85  # above it two boxes are one box, moved by an error


class Found(NamedTuple):
    """One detection."""

    label: str
    score: float
    box_xyxy: tuple[float, float, float, float]


def as_rows(detections: Detections) -> list[Found]:
    return [Found(one.label, one.score, one.box_xyxy) for one in detections]


def assert_same_detections(
    found: Iterable[Found],
    expected: Iterable[Found],
    *,
    score_margin: float,
    box_margin: float,
    score_threshold: float,
    nms_threshold: float = 0.4,
    iou_margin: float = 0.02,
) -> None:
    """Each detection must be in the other list too: same label, score within `score_margin`, corners within
    `box_margin` pixels. One that is not is excused only if the last bit decides whether it is there:

    - its score is within the margin of the threshold, or
    - a box of its class in the other list overlaps it enough for suppression, is clearly another one (IoU below 0.85),
      and has the same score within the margin, or the IoU lies within `iou_margin` of the NMS threshold.

    At most a third of all detections may be excused, so that excuses cannot stand for a comparison.
    """
    found, expected = [Found(*one) for one in found], [Found(*one) for one in expected]
    left = list(expected)
    unmatched = []
    for one in found:
        match = next((other for other in left if _same(one, other, score_margin, box_margin)), None)
        if match is None:
            unmatched.append((one, expected))
        else:
            left.remove(match)
    unmatched += [(one, found) for one in left]
    for one, others in unmatched:
        excused = abs(one.score - score_threshold) <= score_margin or any(
            _undecided(one, other, score_margin, nms_threshold, iou_margin) for other in others
        )
        assert excused, f"{one} has no counterpart among {others}"
    total = len(found) + len(expected)
    assert 3 * len(unmatched) <= total, f"{len(unmatched)} of {total} detections have no counterpart"


def _same(a: Found, b: Found, score_margin: float, box_margin: float) -> bool:
    return (
        a.label == b.label
        and abs(a.score - b.score) <= score_margin
        and np.abs(np.subtract(a.box_xyxy, b.box_xyxy)).max() <= box_margin
    )


def _undecided(a: Found, b: Found, score_margin: float, nms_threshold: float, iou_margin: float) -> bool:
    if a.label != b.label:
        return False
    iou = slow_iou(np.array(a.box_xyxy), np.array(b.box_xyxy))
    tie = nms_threshold - iou_margin < iou < OTHER_BOX_IOU and abs(a.score - b.score) <= score_margin
    return tie or abs(iou - nms_threshold) <= iou_margin
