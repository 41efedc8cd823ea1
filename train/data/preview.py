"""Training samples drawn as the network is shown them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from sqdet_cv.detections import Detections
from sqdet_cv.media.annotate import draw
from sqdet_cv.spec.detector_spec import ModelSpec

from .loader import DetectionData
from .sample import Sample
from .transforms.augment import AugmentConfig
from .transforms.geometry import LabeledImage

GREY_BGR = (160, 160, 160)


def draw_samples(
    samples: Sequence[Sample], labels: Sequence[str], size: int, augment: AugmentConfig, count: int, seed: int = 0
) -> list[np.ndarray]:
    """Up to `count` samples, chosen at random, augmented and drawn: (size, size, 3) uint8 BGR each."""
    # DetectionData takes input size and mean colour from the spec; an image needs no anchors, so one stands in.
    spec = ModelSpec.single(tuple(labels), (size, size), (1, 1), ((size, size),))
    data = DetectionData(samples, spec, augment, seed, epoch=0)
    chosen = np.random.default_rng(seed).permutation(len(samples))[:count]
    return [draw_objects(data.view(int(i))[0], labels) for i in tqdm(chosen, unit="image", delay=1)]


def draw_objects(view: LabeledImage, labels: Sequence[str]) -> np.ndarray:
    """A copy of the image with its boxes. A tag's number is the object's weight; `ignore` objects are grey."""
    image_bgr = view.image_bgr.copy()
    for x1, y1, x2, y2 in view.boxes_xyxy[view.ignore].round().astype(int).tolist():
        cv2.rectangle(image_bgr, (x1, y1), (x2 - 1, y2 - 1), GREY_BGR, 2)
    real = np.nonzero(~view.ignore)[0]
    real = real[np.argsort(-view.weights[real], kind="stable")]  # Detections come by falling score
    names = tuple(labels[class_id] for class_id in view.class_ids[real])
    return draw(image_bgr, Detections(view.boxes_xyxy[real], view.class_ids[real], view.weights[real], names))
