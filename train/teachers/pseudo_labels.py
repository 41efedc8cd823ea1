"""`python -m train label`: fill the classes an image is not labelled for with detections of one or more teachers."""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqdet_cv.boxes.ops import box_iou
from sqdet_cv.detections import Detections
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..common.errors import TrainError
from ..common.labels import HELP, parse_labels
from ..data.formats.open_dataset import HELP as DATA_HELP
from ..data.formats.open_dataset import check_stems, open_dataset
from ..data.loader import read_image
from ..data.sample import Sample
from ..detectors.open_detector import MIRROR_HELP, MODEL_HELP, file_names, open_together
from .soft_labels import TEACHER_THRESHOLD, class_shares

LEAST_SHARE = 0.005  # smaller probabilities are not written


@dataclass(frozen=True)
class LabelConfig:
    """When a detection of the teacher becomes a box."""

    threshold: float = 0.35  # score from which it is an object, weighted by its score
    doubt: float = 0.12  # score from which it is `difficult`: its place is neither rewarded nor punished
    same_iou: float = 0.5  # overlap with a known box of the class from which it is that object again


def complete(sample: Sample, labels: tuple[str, ...], found: Detections, config: LabelConfig) -> list[tuple]:
    """The teacher's boxes that go beside the known ones: (label, box_xyxy, score, difficult)."""
    added = []
    for detection in found:
        if sample.labelled[detection.class_id] or detection.score < config.doubt:
            continue
        x1, y1, x2, y2 = detection.box_xyxy
        if min(x2 - x1, y2 - y1) < 1:  # VOC's inclusive corners cannot say less than a pixel
            continue
        known = sample.boxes_xyxy[sample.class_ids == detection.class_id]
        if len(known) and box_iou(np.array([detection.box_xyxy]), known).max() > config.same_iou:
            continue
        added.append(
            (labels[detection.class_id], detection.box_xyxy, detection.score, detection.score < config.threshold)
        )
    return added


def probabilities(box_xyxy: tuple, found: Detections, labels: tuple[str, ...], config: LabelConfig) -> dict[str, float]:
    """What the teacher takes the object in a box for, as `class_shares`; {} where it does not see the object."""
    box = np.float32([box_xyxy])
    (shares,) = class_shares(box, found, len(labels), doubt=config.doubt, same_iou=config.same_iou)
    return {label: float(share) for label, share in zip(labels, shares) if share >= LEAST_SHARE}


def write_annotation(
    path: Path,
    sample: Sample,
    labels: tuple[str, ...],
    added: list[tuple],
    teacher: str,
    shares: Callable[[tuple], dict[str, float]] | None = None,
) -> None:
    """VOC XML with the known boxes and the teacher's; all classes count as labelled.

    Args:
        shares: a box to what the teacher takes the object in it for (`probabilities`), which is written beside it.
    """
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = sample.image_path.name
    source = ET.SubElement(root, "source")
    ET.SubElement(source, "labelled").text = "all"
    ET.SubElement(source, "teacher").text = teacher
    known = [
        (labels[class_id], box, float(weight), bool(ignore))
        for class_id, box, weight, ignore in zip(sample.class_ids, sample.boxes_xyxy, sample.weights, sample.ignore)
    ]
    for name, box, score, difficult in known + added:
        x1, y1, x2, y2 = box
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = name
        ET.SubElement(item, "difficult").text = str(int(difficult))
        if score < 1:
            ET.SubElement(item, "score").text = f"{score:.4f}"
        corners = ET.SubElement(item, "bndbox")
        for key, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            ET.SubElement(corners, key).text = f"{value:.1f}"
        for label, share in shares(box).items() if shares else ():
            ET.SubElement(item, "probability", {"name": label}).text = f"{share:.4f}"
    ET.indent(root)
    write_bytes_atomically(path, ET.tostring(root, encoding="utf-8"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", required=True, help="comma-separated lists of images to complete")
    parser.add_argument("--teacher", required=True, help=MODEL_HELP)
    parser.add_argument("--mirror", action="store_true", help=MIRROR_HELP)
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="write for each object, those that people labelled too, how likely the teacher takes it for which class",
    )
    parser.add_argument("--out", required=True, help="folder for the completed XML files")
    parser.add_argument("--labels", default="", help=HELP)
    parser.add_argument("--threshold", type=float, default=LabelConfig.threshold, help="score that makes an object")
    parser.add_argument("--doubt", type=float, default=LabelConfig.doubt, help="score that makes an ignored region")


def run(args: argparse.Namespace) -> None:
    if not 0 < args.doubt <= args.threshold < 1:
        raise TrainError(f"--doubt {args.doubt} --threshold {args.threshold}: expected 0 < doubt <= threshold < 1")
    config = LabelConfig(args.threshold, args.doubt)
    labels = parse_labels(args.labels)
    samples = open_dataset(args.data, args.lists.split(","), labels)
    check_stems(samples, Path(args.out))
    teacher = open_together(args.teacher, labels, min(TEACHER_THRESHOLD, args.doubt), mirror=args.mirror)
    names = file_names(args.teacher)
    objects = with_objects = 0
    for sample in tqdm(samples, unit="image"):
        found = teacher(read_image(sample.image_path))
        added = complete(sample, labels, found, config)
        shares = partial(probabilities, found=found, labels=labels, config=config) if args.probabilities else None
        write_annotation(Path(args.out) / f"{sample.image_path.stem}.xml", sample, labels, added, names, shares)
        certain = sum(not difficult for *_, difficult in added)
        objects += certain
        with_objects += certain > 0
    print(f"{args.out}: {objects} boxes of the teacher in {with_objects} of {len(samples)} images")
