"""Everything that is measured of a detector on a set of images, from one pass over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from sqdet_cv.detections import Detections

from ..data.formats.voc import Sample
from ..data.loader import read_image
from ..detectors.open_detector import AnyDetector
from .average_precision import Matches, average_precision
from .coco import CocoResult, coco_ap
from .error_analysis import ErrorSplit, confusion_matrix, split_errors
from .matching import ImageMatch, match_image, rank

EVAL_SCORE_THRESHOLD = 0.01  # low enough that the precision-recall curve has its tail


@dataclass(frozen=True)
class ClassResult:
    label: str
    objects: int
    ap_area: float  # AP as area under the curve, in [0, 1]; NaN without objects
    ap_07: float  # eleven-point AP


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One detector on one set of images.

    Attributes:
        labels: C class names.
        images: every image with its detections down to the lowest score, matched.
        curves: the ranked detections of each class. all_classes: those of all classes together.
        classes: VOC's AP of each class. coco: COCO's.
        score: the threshold from which on detections count for the rest: what a user would see.
        kept: `images` with the detections from that score on. errors, confusion: of these.
    """

    labels: Sequence[str]
    photos: list[ImageMatch]
    curves: list[Matches]
    all_classes: Matches
    classes: list[ClassResult]
    coco: CocoResult
    score: float
    kept: list[ImageMatch]
    errors: ErrorSplit
    confusion: np.ndarray


def detect_all(detector: AnyDetector, samples: Sequence[Sample], progress: bool = False) -> list[Detections]:
    """Runs the detector on every image."""
    return [detector(read_image(sample.image_path)) for sample in tqdm(samples, unit="image", disable=not progress)]


def evaluate(
    detector: AnyDetector, samples: Sequence[Sample], labels: Sequence[str], progress: bool = False
) -> list[ClassResult]:
    """VOC's AP of each class. A class counts only the images that are labelled for it."""
    return class_aps(detect_all(detector, samples, progress), samples, labels)


def class_aps(found: Sequence[Detections], samples: Sequence[Sample], labels: Sequence[str]) -> list[ClassResult]:
    """VOC's AP of each class from the detections of each image, as `evaluate`."""
    photos = [match_image(*pair) for pair in zip(found, samples)]
    return class_results([rank(photos, class_id) for class_id in range(len(labels))], labels)


def evaluate_fully(
    found: Sequence[Detections], samples: Sequence[Sample], labels: Sequence[str], score: float | None = None
) -> Evaluation:
    """Measures the detections of each image.

    Args:
        score: the threshold of Evaluation; None: where the F1 of all classes together is best.
    """
    photos = [match_image(*pair) for pair in zip(found, samples)]
    curves = [rank(photos, class_id) for class_id in range(len(labels))]
    all_classes = rank(photos)
    if score is None:
        score, _ = all_classes.best_threshold()
    kept = [photo.above(score) for photo in photos]
    return Evaluation(
        labels=labels,
        photos=photos,
        curves=curves,
        all_classes=all_classes,
        classes=class_results(curves, labels),
        coco=coco_ap(found, samples, labels),
        score=score,
        kept=kept,
        errors=split_errors(kept, len(labels)),
        confusion=confusion_matrix(kept, len(labels)),
    )


def class_results(curves: Sequence[Matches], labels: Sequence[str]) -> list[ClassResult]:
    return [
        ClassResult(label, curve.objects, average_precision(curve), average_precision(curve, eleven_point=True))
        for label, curve in zip(labels, curves)
    ]


def mean_ap(results: Sequence[ClassResult], labels: Sequence[str] | None = None) -> float:
    """Mean area AP in [0, 1] over the classes (of `labels`) that have objects; NaN if none has."""
    values = [r.ap_area for r in results if r.objects and (labels is None or r.label in labels)]
    return float(np.mean(values)) if values else float("nan")


def points(share: float) -> str:
    """A share in [0, 1] as printed, 0 to 100; a dash for NaN, of a class without objects."""
    return "\u2013" if math.isnan(share) else f"{100 * share:.1f}"
