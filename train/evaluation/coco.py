"""COCO's average precision, by pycocotools: the mean over IoU 0.5, 0.55 ... 0.95, also for each size of object."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np

from sqdet_cv.detections import Detections

from ..common.errors import TrainError
from ..data.formats.voc import Sample
from .matching import only_labelled

SIZES = {  # pycocotools' names and ranges: area of the box in pixels of the image
    "all": "all sizes",
    "small": "small (area below 32\u00b2 px)",
    "medium": "medium (32\u00b2 to 96\u00b2 px)",
    "large": "large (above 96\u00b2 px)",
}


@dataclass(frozen=True)
class CocoResult:
    """APs in [0, 1]; NaN where there was no object to find.

    Attributes:
        ap: mean over classes and IoU thresholds, for each of SIZES.
        ap_50: the same at IoU 0.5 alone.
        objects: how many objects of each size, difficult ones not counted.
        class_ap: `ap` of each class, all sizes.
    """

    ap: dict[str, float]
    ap_50: dict[str, float]
    objects: dict[str, int]
    class_ap: tuple[float, ...]


def check_pycocotools() -> None:
    """Raises TrainError where `coco_ap` would fail at the end of the work."""
    if importlib.util.find_spec("pycocotools") is None:
        raise TrainError("COCO's average precision needs pycocotools: pip install '.[train]'")


def coco_ap(found: Sequence[Detections], samples: Sequence[Sample], labels: Sequence[str]) -> CocoResult:
    """Measures the detections of each image, at most the 100 best of a class in an image.

    A difficult object becomes a crowd, COCO's word for what need not be found: detections that lie at least
    to the threshold's share inside it do not count. Classes that an image is not labelled for are left out there.
    """
    from pycocotools.cocoeval import COCOeval

    known = [only_labelled(*pair) for pair in zip(found, samples)]
    true_rows, found_rows = [], []
    for image, (detections, sample) in enumerate(known):
        true_rows += [
            (image, class_id, box, {"iscrowd": int(ignore)})
            for class_id, box, ignore in zip(sample.class_ids, sample.boxes_xyxy, sample.ignore)
        ]
        found_rows += [
            (image, class_id, box, {"iscrowd": 0, "score": float(score)})
            for class_id, box, score in zip(detections.class_ids, detections.boxes_xyxy, detections.scores)
        ]
    with redirect_stdout(io.StringIO()):  # it tells of its progress
        true = _coco(true_rows, len(samples), labels)
        evaluation = COCOeval(true, _coco(found_rows, len(samples), labels), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # IoU thresholds, recalls, classes, sizes; -1: no object
    areas = np.array([item["area"] for item in true.dataset["annotations"] if not item["iscrowd"]])
    ranges = evaluation.params.areaRng
    return CocoResult(
        ap={size: _mean(precision[..., a]) for a, size in enumerate(SIZES)},
        ap_50={size: _mean(precision[0, ..., a]) for a, size in enumerate(SIZES)},
        objects={size: int(((areas >= low) & (areas <= high)).sum()) for size, (low, high) in zip(SIZES, ranges)},
        class_ap=tuple(_mean(precision[:, :, c, 0]) for c in range(len(labels))),
    )


def _coco(rows: list[tuple[int, int, np.ndarray, dict]], images: int, labels: Sequence[str]):
    """A pycocotools COCO of (image, class id, box_xyxy, further values)."""
    from pycocotools.coco import COCO

    annotations = []
    for number, (image, class_id, box, values) in enumerate(rows, start=1):  # pycocotools reads id 0 as "no match"
        x1, y1, x2, y2 = (float(value) for value in box)
        width, height = x2 - x1, y2 - y1
        item = {"id": number, "image_id": image, "category_id": int(class_id), "bbox": [x1, y1, width, height]}
        annotations.append(item | {"area": width * height} | values)
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": i, "name": label} for i, label in enumerate(labels)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")
