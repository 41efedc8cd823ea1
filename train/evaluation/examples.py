"""Images of the worst mistakes: the surest wrong detections and the largest missed objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sqdet_cv.detections import Detections
from sqdet_cv.media.annotate import draw

from ..data.cache import read_image
from .error_analysis import COLUMNS
from .matching import ImageMatch, Outcome

LONG_SIDE = 400  # pixels of an image in the report: three fit side by side
DASH = 7  # pixels


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image with the mistake drawn in, (H, W, 3) uint8, and what is wrong with it."""

    image_bgr: np.ndarray
    caption: str


def wrong_detections(images: Sequence[ImageMatch], labels: Sequence[str], count: int) -> list[Mistake]:
    """The `count` wrong detections of the highest scores; the object that such a one belongs to is dashed."""
    wrong = [
        (-float(match.detections.scores[i]), p, int(i))
        for p, match in enumerate(images)
        for i in np.nonzero(match.outcomes > Outcome.RIGHT)[0]
    ]
    mistakes = []
    for _, p, i in sorted(wrong)[:count]:
        match, detection = images[p], images[p].detections[i]
        object_id = match.object_ids[i]
        caption = f"{COLUMNS[match.outcomes[i]]}: {detection.label} {detection.score:.2f}"
        if object_id >= 0:
            caption += f"; dashed: {labels[match.sample.class_ids[object_id]]}"
        mistakes.append(_mistake(match, match.detections[[i]], object_id, caption))
    return mistakes


def missed_objects(images: Sequence[ImageMatch], labels: Sequence[str], count: int) -> list[Mistake]:
    """The `count` missed objects of the largest area, at most one of an image, dashed; with all that was found."""
    missed = []
    for p, match in enumerate(images):
        sides = match.sample.boxes_xyxy[:, 2:] - match.sample.boxes_xyxy[:, :2]
        areas = np.where(match.missed(), sides[:, 0] * sides[:, 1], 0)
        if areas.any():
            missed.append((-float(areas.max()), p, int(areas.argmax())))
    return [
        _mistake(images[p], images[p].detections, i, f"missed: {labels[images[p].sample.class_ids[i]]}")
        for _, p, i in sorted(missed)[:count]
    ]


def _mistake(match: ImageMatch, shown: Detections, object_id: int, caption: str) -> Mistake:
    image = read_image(match.sample.image_path)
    scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if object_id >= 0:  # first, so that it crosses no name
        _draw_dashed(image, match.sample.boxes_xyxy[object_id] * scale)
    image = draw(image, Detections(shown.boxes_xyxy * scale, shown.class_ids, shown.scores, shown.labels))
    return Mistake(image, f"{caption} ({match.sample.image_path.name})")


def _draw_dashed(image: np.ndarray, box_xyxy: np.ndarray) -> None:
    """A box of black and white dashes, to be seen on any image."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.clip(np.rint(box_xyxy), 1, [width - 2, height - 2] * 2).astype(int)
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        length = max(1, int(np.abs(end - start).max()))
        for at in range(0, length, DASH):
            ends = [start + (end - start) * min(x, length) // length for x in (at, at + DASH)]
            colour = (255, 255, 255) if at // DASH % 2 == 0 else (0, 0, 0)
            cv2.line(image, ends[0].tolist(), ends[1].tolist(), colour, 2)
