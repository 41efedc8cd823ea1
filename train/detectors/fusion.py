"""Several detectors' answers as one: weighted boxes fusion (arXiv 1910.13302)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sqdet_cv.boxes.ops import box_iou, mirror_boxes
from sqdet_cv.detections import Detections

SAME_IOU = 0.55  # the paper's: from it on two boxes of a class are of one object


class FusedDetector:
    """Several detectors as one, called as each of them is; with `mirror` each is also shown the mirrored image."""

    def __init__(self, detectors: Sequence[Callable[[np.ndarray], Detections]], mirror: bool = False) -> None:
        self.detectors, self.mirror = list(detectors), mirror

    def __call__(self, image_bgr: np.ndarray) -> Detections:
        answers = [detector(image_bgr) for detector in self.detectors]
        if self.mirror:
            mirrored_bgr = np.ascontiguousarray(image_bgr[:, ::-1])
            for found in [detector(mirrored_bgr) for detector in self.detectors]:
                boxes_xyxy = mirror_boxes(found.boxes_xyxy, image_bgr.shape[1])
                answers.append(replace(found, boxes_xyxy=boxes_xyxy))
        return fuse(answers)


def fuse(answers: Sequence[Detections], same_iou: float = SAME_IOU) -> Detections:
    """What several detectors found in one image, as if one had.

    Best first, each box joins the group of its class whose mean box it overlaps most, if by more than `same_iou`, or
    else begins a group. A group's box is the mean of its boxes, each weighted by its score; its score is the sum of
    its scores divided by the number of detectors, so what only one of them sees counts less; at most 1.
    """
    boxes_xyxy = np.concatenate([one.boxes_xyxy for one in answers])
    class_ids = np.concatenate([one.class_ids for one in answers])
    scores = np.concatenate([one.scores for one in answers])
    names = [name for one in answers for name in one.labels]
    order = np.argsort(-scores, kind="stable")
    groups: dict[int, _Groups] = {}
    for i in order:
        groups.setdefault(int(class_ids[i]), _Groups(names[i])).add(boxes_xyxy[i], float(scores[i]), same_iou)
    rows = [
        (box, class_id, min(total / len(answers), 1.0), one.label)
        for class_id, one in groups.items()
        for box, total in zip(one.boxes_xyxy, one.totals)
    ]
    rows.sort(key=lambda row: -row[2])
    return Detections(*zip(*rows)) if rows else Detections([], [], [], ())


class _Groups:
    """The groups of one class: mean boxes and sums of scores."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.boxes_xyxy = np.zeros((0, 4), np.float32)
        self.totals: list[float] = []

    def add(self, box_xyxy: np.ndarray, score: float, same_iou: float) -> None:
        if self.totals:
            iou = box_iou(box_xyxy[None], self.boxes_xyxy)[0]
            nearest = int(iou.argmax())
            if iou[nearest] > same_iou:
                total = self.totals[nearest] + score
                self.boxes_xyxy[nearest] += (box_xyxy - self.boxes_xyxy[nearest]) * (score / total)
                self.totals[nearest] = total
                return
        self.boxes_xyxy = np.vstack([self.boxes_xyxy, box_xyxy])
        self.totals.append(score)
