"""A teacher that is asked about the very view that the net is shown.

`python -m train label --probabilities` asks it once, about the whole image, which it may know from its own training
and is certain of. Of a part of it, small, in other colours, it is not: what it then says is what the net can know too
(the "consistent" teacher of arXiv 2106.05237).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data.transforms.geometry import LabeledImage
from ..detectors.open_detector import MODEL_HELP, AnyDetector, open_together
from .soft_labels import TEACHER_THRESHOLD, class_shares

HELP = f"asked about each view, which class it takes each object for (--sqdet.teacher): {MODEL_HELP}"
DOUBT = 0.1  # below it the teacher does not see the object, and what the labels say stays
SAME_IOU = 0.5


class ViewTeacher:
    """Puts what a teacher takes each object of a view for in the place of its `class_probabilities`.

    Args:
        models: as of `open_together`, which it raises the TrainErrors of.
    """

    def __init__(self, models: str, labels: Sequence[str]) -> None:
        self.models, self.labels = models, tuple(labels)
        # The first forward pass says whether the model has as many classes. The detector is opened again where it is
        # asked: an OpenCV net cannot go to the loader's processes.
        self._open()(np.zeros((32, 32, 3), np.uint8))
        self.detector: AnyDetector | None = None

    def _open(self) -> AnyDetector:
        return open_together(self.models, self.labels, TEACHER_THRESHOLD)

    def __call__(self, view: LabeledImage) -> LabeledImage:
        if not len(view.boxes_xyxy):
            return view
        if self.detector is None:
            self.detector = self._open()
        found = self.detector(view.image_bgr)
        shares = class_shares(view.boxes_xyxy, found, len(self.labels), doubt=DOUBT, same_iou=SAME_IOU)
        seen = shares.any(axis=1, keepdims=True)
        return replace(view, class_probabilities=np.where(seen, shares, view.class_probabilities))
