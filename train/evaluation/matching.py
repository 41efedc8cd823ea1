"""Which detection found which object. AP, the curves, the confusion matrix and the error split all go by this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from sqdet_cv.boxes.ops import box_iou
from sqdet_cv.detections import Detections

from ..data.formats.voc import Sample
from .average_precision import Matches

HIT_IOU = 0.5  # VOC's
NEAR_IOU = 0.1  # below it a box has nothing to do with the object (TIDE, arXiv 2008.08115, section 2.2)


class Outcome(IntEnum):
    """What became of a detection; the first of these that holds.

    The kinds of errors are those of TIDE, but a box that lies near an object of another class is background here.
    """

    NOT_COUNTED = 0  # it belongs to a difficult object
    RIGHT = 1  # IoU of HIT_IOU or more with an object of its class, which no better detection had found
    DUPLICATE = 2  # the same, but a better one had found it
    CONFUSION = 3  # IoU of HIT_IOU or more with an object of another class
    LOCALISATION = 4  # IoU of NEAR_IOU or more with an object of its class
    BACKGROUND = 5  # none of these


@dataclass(frozen=True, eq=False)
class ImageMatch:
    """One image, without the classes that it is not labelled for.

    Attributes:
        sample: its objects, m of them.
        detections: its detections, n of them, best first.
        outcomes: (n,) int, values of Outcome.
        object_ids: (n,) int, the object that the outcome speaks of; -1 for BACKGROUND.
    """

    sample: Sample
    detections: Detections
    outcomes: np.ndarray
    object_ids: np.ndarray

    def above(self, score: float) -> ImageMatch:
        """The same image with the detections of at least this score: worse ones change nothing for better ones."""
        kept = self.detections.scores >= score
        return ImageMatch(self.sample, self.detections[kept], self.outcomes[kept], self.object_ids[kept])

    def missed(self) -> np.ndarray:
        """(m,) bool: the objects, difficult ones aside, that no detection is RIGHT about."""
        missed = ~self.sample.ignore
        missed[self.object_ids[self.outcomes == Outcome.RIGHT]] = False
        return missed


def only_labelled(found: Detections, sample: Sample) -> tuple[Detections, Sample]:
    """Both without the classes that the image is not labelled for: nobody knows what is right there."""
    mine = sample.labelled[sample.class_ids]
    arrays = {name: getattr(sample, name)[mine] for name in ("boxes_xyxy", "class_ids", "ignore", "weights")}
    return found[sample.labelled[found.class_ids]], replace(sample, **arrays)


def match_image(found: Detections, sample: Sample) -> ImageMatch:
    """VOC's matching (VOCevaldet.m): a detection, best first, belongs to the object of its class it overlaps most. Of
    two that it overlaps equally it belongs to the first; a taken object is not passed on.
    """
    found, sample = only_labelled(found, sample)
    outcomes = np.full(len(found), Outcome.BACKGROUND)
    object_ids = np.full(len(found), -1)
    if len(sample.class_ids) == 0:
        return ImageMatch(sample, found, outcomes, object_ids)
    iou = box_iou(found.boxes_xyxy, sample.boxes_xyxy)
    same_class = found.class_ids[:, None] == sample.class_ids
    own_iou, other_iou = np.where(same_class, iou, 0), np.where(same_class, 0, iou)
    taken = np.zeros(len(sample.class_ids), bool)
    for i, (own, other) in enumerate(zip(own_iou, other_iou)):
        j, k = own.argmax(), other.argmax()
        if own[j] >= HIT_IOU:
            object_ids[i] = j
            if sample.ignore[j]:
                outcomes[i] = Outcome.NOT_COUNTED
            else:
                outcomes[i] = Outcome.DUPLICATE if taken[j] else Outcome.RIGHT
                taken[j] = True
        elif other[k] >= HIT_IOU:
            outcomes[i], object_ids[i] = Outcome.CONFUSION, k
        elif own[j] >= NEAR_IOU:
            outcomes[i], object_ids[i] = Outcome.LOCALISATION, j
    return ImageMatch(sample, found, outcomes, object_ids)


def rank(images: Sequence[ImageMatch], class_id: int | None = None) -> Matches:
    """The counted detections of one class (None: of all) over all images; equal scores stay in the images' order."""
    scores, hits, objects = [np.zeros(0)], [np.zeros(0, bool)], 0
    for match in images:
        counted = match.outcomes != Outcome.NOT_COUNTED
        true = ~match.sample.ignore
        if class_id is not None:
            counted &= match.detections.class_ids == class_id
            true &= match.sample.class_ids == class_id
        scores.append(match.detections.scores[counted])
        hits.append(match.outcomes[counted] == Outcome.RIGHT)
        objects += int(true.sum())
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return Matches(all_scores[order], np.concatenate(hits)[order], objects)
