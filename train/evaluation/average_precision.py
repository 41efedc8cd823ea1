"""Average precision as the PASCAL VOC devkit computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of one class over all images, best first.

    Attributes:
        scores: (n,), falling.
        true_positive: (n,) bool: the detection found an object that no better one had found.
        objects: how many objects there were to find, difficult ones not counted.
    """

    scores: np.ndarray
    true_positive: np.ndarray
    objects: int

    def precision_recall(self) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall after each detection, (n,) each."""
        hits = np.cumsum(self.true_positive)
        return hits / np.arange(1, len(hits) + 1), hits / max(self.objects, 1)

    def f1(self) -> np.ndarray:
        """2 x right / (detections + objects) after each detection, (n,) in [0, 1]: F1, without its 0 / 0."""
        hits = np.cumsum(self.true_positive)
        return 2 * hits / (np.arange(1, len(hits) + 1) + self.objects)

    def best_threshold(self) -> tuple[float, float]:
        """The score from which on detections are best kept, and the F1 that this gives; (1, 0) without a hit.

        Detections of one score are kept or dropped together.
        """
        last = np.append(np.diff(self.scores) != 0, True)[: len(self.scores)]  # of its score
        f1 = np.where(last, self.f1(), 0.0)
        if not self.true_positive.any():
            return 1.0, 0.0
        best = int(f1.argmax())
        return float(self.scores[best]), float(f1[best])


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
