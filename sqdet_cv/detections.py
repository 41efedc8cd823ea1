"""What a detector found in one image."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np


class Detection(NamedTuple):
    """One object: (x1, y1, x2, y2) in image pixels, class id, score in [0, 1], label."""

    box_xyxy: tuple[float, float, float, float]
    class_id: int
    score: float
    label: str


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in an image, best first.

    Attributes:
        boxes_xyxy: (n, 4) float32, in pixels of the image that was given, clipped to it.
        class_ids: (n,) int64, positions in the model's label list.
        scores: (n,) float32 in [0, 1], falling.
        labels: n class names.

    Iterating gives `Detection`s; an int index gives one, a slice, a mask or an index array gives `Detections`.

    >>> found = Detections(np.array([[0, 0, 9, 9]]), np.array([0]), np.array([0.5]), ("cat",))
    >>> [(d.label, d.score) for d in found]
    [('cat', 0.5)]
    """

    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        # reshape lets an empty list stand for no objects
        object.__setattr__(self, "boxes_xyxy", np.asarray(self.boxes_xyxy, np.float32).reshape(-1, 4))
        object.__setattr__(self, "class_ids", np.asarray(self.class_ids, np.int64).reshape(-1))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        object.__setattr__(self, "labels", tuple(self.labels))
        lengths = {len(self.boxes_xyxy), len(self.class_ids), len(self.scores), len(self.labels)}
        if len(lengths) > 1:
            raise ValueError(
                f"boxes, class ids, scores and labels differ in number: {len(self.boxes_xyxy)}, "
                f"{len(self.class_ids)}, {len(self.scores)}, {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        return (self._detection(i) for i in range(len(self)))

    def _detection(self, index: int) -> Detection:
        x1, y1, x2, y2 = map(float, self.boxes_xyxy[index])
        return Detection((x1, y1, x2, y2), int(self.class_ids[index]), float(self.scores[index]), self.labels[index])

    @overload
    def __getitem__(self, key: int) -> Detection: ...

    @overload
    def __getitem__(self, key: slice | np.ndarray) -> Detections: ...

    def __getitem__(self, key: int | slice | np.ndarray) -> Detection | Detections:
        if isinstance(key, int | np.integer) or (isinstance(key, np.ndarray) and key.ndim == 0 and key.dtype != bool):
            return self._detection(operator.index(key))
        chosen = np.arange(len(self))[key]
        labels = tuple(self.labels[i] for i in chosen)
        return Detections(self.boxes_xyxy[chosen], self.class_ids[chosen], self.scores[chosen], labels)
