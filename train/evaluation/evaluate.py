"""Everything that is measured of a detector on a set of images, from one pass over them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from sqdet_cv.detections import Detections

from ..data.cache import read_image
from ..data.formats.voc import Sample
from ..detectors.open_detector import AnyDetector
from .average_precision import Matches, average_precision
from .calibration import calibration
from .coco import SIZES, CocoResult, coco_ap
from .error_analysis import COLUMNS, ErrorSplit, confusion_matrix, split_errors
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
    images: list[ImageMatch]
    curves: list[Matches]
    all_classes: Matches
    classes: list[ClassResult]
    coco: CocoResult
    score: float
    kept: list[ImageMatch]
    errors: ErrorSplit
    confusion: np.ndarray

    def to_markdown(self, groups: Mapping[str, Sequence[str]] | None = None) -> str:
        """The table of APs, then a line for each size of object by COCO's AP, and what the detections are.

        Args:
            groups: {name: classes} whose mean gets a row too.
        """
        return f"{ap_table(self.classes, groups or {})}\n{self._overview()}"

    def _overview(self) -> str:
        lines = [
            f"COCO AP 50:95, {name}: {100 * self.coco.ap[size]:.1f} ({self.coco.objects[size]} objects)"
            for size, name in SIZES.items()
            if self.coco.objects[size]
        ]
        missed = self.errors.missed.sum()
        if not any(len(image.detections) for image in self.kept) and not self.all_classes.true_positive.any():
            return "\n".join([*lines, f"no detection is right, whatever its score; {missed} objects missed"])
        kinds = ", ".join(f"{self.errors.detections[kind].sum()} {name}" for kind, name in COLUMNS.items())
        lines.append(f"detections of score {self.score:.3f} or more: {kinds}; {missed} objects missed")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """What a JSON file needs: APs in [0, 1], counts; None for the AP of a class without objects."""
        values = {
            "mean_ap": mean_ap(self.classes),
            "coco_ap": self.coco.ap,
            "coco_ap_50": self.coco.ap_50,
            "calibration_error": calibration(self.all_classes).error,
            "score": self.score,
            "errors": {name: int(self.errors.detections[kind].sum()) for kind, name in COLUMNS.items()}
            | {"missed": int(self.errors.missed.sum())},
            "classes": [vars(result) | {"coco_ap": ap} for result, ap in zip(self.classes, self.coco.class_ap)],
        }
        return _without_nan(values)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: None (null) stands for it."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def ap_table(results: Sequence[ClassResult], groups: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table: AP in points (0 to 100), a line a class, then the means; a dash for a class without objects."""
    lines = ["| class | objects | AP | AP (VOC 07) |", "|---|---|---|---|"]
    lines += [f"| {r.label} | {r.objects} | {points(r.ap_area)} | {points(r.ap_07)} |" for r in results]
    for name, members in ({"mean": [r.label for r in results]} | dict(groups)).items():
        chosen = [r for r in results if r.label in members and r.objects]
        if not chosen:
            continue
        area, eleven_point = (100 * np.mean([getattr(r, key) for r in chosen]) for key in ("ap_area", "ap_07"))
        objects = sum(r.objects for r in chosen)
        lines.append(f"| **{name}** ({len(chosen)} classes) | {objects} | **{area:.1f}** | {eleven_point:.1f} |")
    return "\n".join(lines)


def evaluate_detector(
    detector: AnyDetector,
    samples: Sequence[Sample],
    labels: Sequence[str],
    score_threshold: float | None = None,
    progress: bool = False,
) -> Evaluation:
    """Runs a detector on every image and measures all there is to measure.

    Args:
        detector: an image to `Detections`; its own score threshold should be EVAL_SCORE_THRESHOLD, so that the
            precision-recall curve has its tail.
        score_threshold: from which detections count for the split of errors; None: where F1 is best.

    >>> detector = open_detector("runs/mine/best.pt", labels, EVAL_SCORE_THRESHOLD)  # doctest: +SKIP
    >>> print(evaluate_detector(detector, samples, labels).to_markdown())  # doctest: +SKIP
    """
    return evaluate_fully(detect_all(detector, samples, progress), samples, labels, score_threshold)


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
    images = [match_image(*pair) for pair in zip(found, samples)]
    return class_results([rank(images, class_id) for class_id in range(len(labels))], labels)


def evaluate_fully(
    found: Sequence[Detections], samples: Sequence[Sample], labels: Sequence[str], score: float | None = None
) -> Evaluation:
    """Measures the detections of each image.

    Args:
        score: the threshold of Evaluation; None: where the F1 of all classes together is best.
    """
    images = [match_image(*pair) for pair in zip(found, samples)]
    curves = [rank(images, class_id) for class_id in range(len(labels))]
    all_classes = rank(images)
    if score is None:
        score, _ = all_classes.best_threshold()
    kept = [match.above(score) for match in images]
    return Evaluation(
        labels=labels,
        images=images,
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
