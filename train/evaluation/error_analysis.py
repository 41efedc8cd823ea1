"""What a detector's mistakes are: the kinds of them, class by class, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .matching import ImageMatch, Outcome

COLUMNS = {  # what a detection can be, as a reader sees it; the order of the table and of the bars
    Outcome.RIGHT: "right",
    Outcome.LOCALISATION: "localisation",
    Outcome.CONFUSION: "confusion",
    Outcome.DUPLICATE: "duplicate",
    Outcome.BACKGROUND: "background",
}


@dataclass(frozen=True, eq=False)
class ErrorSplit:
    """Counts of each class, (C,) int: detections by outcome, and objects.

    Attributes:
        detections: for each of COLUMNS, the detections *of that name*. Their sum is all that were counted.
        missed: objects that no detection is right about; with `detections[RIGHT]` that is all objects.
        objects: how many there were, difficult ones not counted.
    """

    detections: dict[Outcome, np.ndarray]
    missed: np.ndarray
    objects: np.ndarray


def split_errors(images: Sequence[ImageMatch], classes: int) -> ErrorSplit:
    """Counts over all images; give images cut at the score in question (`ImageMatch.above`)."""
    detections = {outcome: np.zeros(classes, int) for outcome in COLUMNS}
    missed, objects = np.zeros(classes, int), np.zeros(classes, int)
    for match in images:
        for outcome, counts in detections.items():
            counts += np.bincount(match.detections.class_ids[match.outcomes == outcome], minlength=classes)
        missed += np.bincount(match.sample.class_ids[match.missed()], minlength=classes)
        objects += np.bincount(match.sample.class_ids[~match.sample.ignore], minlength=classes)
    return ErrorSplit(detections, missed, objects)


def confusion_matrix(images: Sequence[ImageMatch], classes: int) -> np.ndarray:
    """(C + 1, C + 1) int: row: the class of the object, last: no object; column: the name given, last: missed.

    Every counted detection stands in one cell: on the diagonal if it is right, beside it if it names an object
    wrongly, in the last row otherwise. A row's diagonal and its last column together are the class's objects.
    """
    matrix = np.zeros((classes + 1, classes + 1), int)
    for match in images:
        for outcome, object_id, name in zip(match.outcomes, match.object_ids, match.detections.class_ids):
            if outcome in (Outcome.RIGHT, Outcome.CONFUSION):
                matrix[match.sample.class_ids[object_id], name] += 1
            elif outcome != Outcome.NOT_COUNTED:
                matrix[classes, name] += 1
        matrix[:classes, classes] += np.bincount(match.sample.class_ids[match.missed()], minlength=classes)
    return matrix
