"""`python -m train label`: fill the classes a photo is not labelled for with a teacher's detections."""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqdet_cv.boxes import iou_matrix
from sqdet_cv.files import write_bytes_atomically

from .data.loader import read_image
from .data.sample import VocSample
from .data.source import HELP as DATA_HELP
from .data.source import check_stems, open_dataset
from .detectors import open_detector
from .errors import TrainError
from .labels import HELP, parse_labels


@dataclass(frozen=True)
class LabelConfig:
    """When a detection of the teacher becomes a box."""

    threshold: float = 0.35  # score from which it is an object, weighted by its score
    doubt: float = 0.12  # score from which it is `difficult`: its place is neither rewarded nor punished
    same_iou: float = 0.5  # overlap with a known box of the class from which it is that object again


def complete(sample: VocSample, labels: tuple[str, ...], found: object, config: LabelConfig) -> list[tuple]:
    """The teacher's boxes that go beside the known ones: (label, box_xyxy, score, difficult)."""
    added = []
    for detection in found:
        if sample.labelled[detection.class_id] or detection.score < config.doubt:
            continue
        x1, y1, x2, y2 = detection.box_xyxy
        if min(x2 - x1, y2 - y1) < 1:  # VOC's inclusive corners cannot say less than a pixel
            continue
        known = sample.boxes_xyxy[sample.class_ids == detection.class_id]
        if len(known) and iou_matrix(np.array([detection.box_xyxy]), known).max() > config.same_iou:
            continue
        added.append(
            (labels[detection.class_id], detection.box_xyxy, detection.score, detection.score < config.threshold)
        )
    return added


def write_annotation(path: Path, sample: VocSample, labels: tuple[str, ...], added: list[tuple], teacher: str) -> None:
    """VOC XML with the known boxes and the teacher's; all classes count as labelled."""
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = sample.image_path.name
    source = ET.SubElement(root, "source")
    ET.SubElement(source, "labelled").text = "all"
    ET.SubElement(source, "teacher").text = teacher
    known = [
        (labels[class_id], box, float(weight), bool(ignore))
        for class_id, box, weight, ignore in zip(sample.class_ids, sample.boxes_xyxy, sample.weights, sample.ignore)
    ]
    for name, (x1, y1, x2, y2), score, difficult in known + added:
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = name
        ET.SubElement(item, "difficult").text = str(int(difficult))
        if score < 1:
            ET.SubElement(item, "score").text = f"{score:.4f}"
        corners = ET.SubElement(item, "bndbox")
        for key, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            ET.SubElement(corners, key).text = f"{value:.1f}"
    ET.indent(root)
    write_bytes_atomically(path, ET.tostring(root, encoding="utf-8"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--lists", required=True, help="comma-separated lists of photos to complete")
    parser.add_argument("--teacher", required=True, help="a checkpoint, an exported .onnx, or a Darknet .cfg")
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
    teacher = open_detector(args.teacher, labels, score_threshold=args.doubt)
    objects = with_objects = 0
    for sample in tqdm(samples, unit="photo"):
        added = complete(sample, labels, teacher(read_image(sample.image_path)), config)
        write_annotation(
            Path(args.out) / f"{sample.image_path.stem}.xml", sample, labels, added, Path(args.teacher).name
        )
        certain = sum(not difficult for *_, difficult in added)
        objects += certain
        with_objects += certain > 0
    print(f"{args.out}: {objects} boxes of the teacher in {with_objects} of {len(samples)} photos")
