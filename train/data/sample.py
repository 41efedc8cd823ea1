"""One image with its labels, whatever format they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its labels.

    Attributes:
        image_path: the image.
        boxes_xyxy: (n, 4) float32, continuous pixel coordinates (VOC's 1-based inclusive corners moved by one).
        class_ids: (n,) int64.
        ignore: (n,) bool: `difficult` objects: neither right nor wrong to find.
        weights: (n,) float32 in (0, 1]: 1, or the score that a teacher gave (`<score>` in the XML).
        labelled: (C,) bool: classes boxed completely in this image. Of the others nothing is known, except that the
            boxes there are right.
        size_wh: width and height of the image in pixels, where the labels give them.
        class_probabilities: (n, C) float32, rows of sum 1: a teacher's probabilities of each object's class
            (`<probability>` in the XML); without a teacher 1 for the object's class. None: no object has a teacher's.
    """

    image_path: Path
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    ignore: np.ndarray
    weights: np.ndarray
    labelled: np.ndarray
    size_wh: tuple[int, int] | None = None
    class_probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.class_probabilities is None:
            object.__setattr__(self, "class_probabilities", one_hot(self.class_ids, len(self.labelled)))


def one_hot(class_ids: np.ndarray, classes: int) -> np.ndarray:
    """(n, C) float32: 1 for the class of each object."""
    return np.eye(classes, dtype=np.float32)[class_ids]


class Annotation(NamedTuple):
    """One object; the fields are those of `Sample`."""

    box_xyxy: tuple[float, float, float, float]
    class_id: int
    ignore: bool = False
    weight: float = 1.0
    class_probabilities: Sequence[float] | None = None


def make_sample(
    image_path: Path, rows: Sequence[Annotation], labelled: Sequence[bool], size_wh: tuple[int, int] | None
) -> Sample:
    """The arrays of a `Sample` from its objects; there may be none."""
    boxes, class_ids, ignore, weights, probabilities = zip(*rows) if rows else ([], [], [], [], [])
    class_ids = np.asarray(class_ids, np.int64)
    class_probabilities = one_hot(class_ids, len(labelled))
    for i, row in enumerate(probabilities):
        if row is not None:
            class_probabilities[i] = row
    return Sample(
        image_path,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        class_ids,
        np.asarray(ignore, bool),
        np.asarray(weights, np.float32),
        np.asarray(labelled, bool),
        size_wh,
        class_probabilities,
    )
