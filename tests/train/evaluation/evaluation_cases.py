"""Images with objects and detections, by hand and at random, for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sqdet_cv.detections import Detections
from tests.helpers import random_boxes
from train.data.formats.voc import Sample

LABELS = ("bird", "cat", "dog")
BIRD, CAT, DOG = range(3)


def make_sample(
    objects: Sequence[tuple], difficult: Sequence[int] = (), labelled: Sequence[int] = (BIRD, CAT, DOG)
) -> Sample:
    """Of (class id, box_xyxy)s; `difficult`: positions among them; `labelled`: class ids."""
    n = len(objects)
    return Sample(
        Path("photo.jpg"),
        np.array([box for _, box in objects], np.float32).reshape(-1, 4),
        np.array([class_id for class_id, _ in objects], np.int64),
        np.isin(np.arange(n), difficult),
        np.ones(n, np.float32),
        np.isin(np.arange(len(LABELS)), labelled),
    )


def make_found(rows: Sequence[tuple]) -> Detections:
    """Of (class id, score, box_xyxy)s, best first."""
    return Detections(
        [box for _, _, box in rows],
        [class_id for class_id, _, _ in rows],
        [score for _, score, _ in rows],
        [LABELS[class_id] for class_id, _, _ in rows],
    )


def random_photos(seed: int, objects: int, detections: int) -> list[tuple[Detections, Sample]]:
    """Four images with up to so many objects and detections, many near an object and of its class.

    A quarter of the objects is difficult, a quarter of the images' classes unlabelled, and scores are tenths, so that
    many are equal.
    """
    rng = np.random.default_rng(seed)
    photos = []
    for _ in range(4):
        truth = random_boxes(rng, int(rng.integers(objects + 1)), (200, 200), smallest=10)
        class_ids = rng.integers(len(LABELS), size=len(truth))
        boxes = random_boxes(rng, int(rng.integers(detections + 1)), (200, 200), smallest=10)
        names = rng.integers(len(LABELS), size=len(boxes))
        for i in range(len(boxes)):
            if len(truth) and rng.random() < 0.7:
                j = rng.integers(len(truth))
                boxes[i] = truth[j] + rng.normal(0, rng.choice([0, 2, 6]), 4)
                if rng.random() < 0.8:
                    names[i] = class_ids[j]
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = np.sort(rng.integers(1, 10, len(boxes)) / 10)[::-1]
        sample = make_sample(
            list(zip(class_ids, truth)),
            np.nonzero(rng.random(len(truth)) < 0.25)[0],
            np.nonzero(rng.random(len(LABELS)) < 0.75)[0],
        )
        photos.append((make_found(list(zip(names, scores, boxes))), sample))
    return photos
