"""Boxes of a teacher for the classes that an image is not labelled for."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sqdet_cv.boxes.ops import box_iou
from sqdet_cv.detections import Detections
from sqdet_cv.util.atomic_files import write_bytes_atomically

from ..data.cache import read_image
from ..data.formats.open_dataset import check_stems
from ..data.sample import Sample
from ..detectors.open_detector import AnyDetector
from .soft_labels import class_shares

LEAST_SHARE = 0.005  # smaller probabilities are not written


@dataclass(frozen=True)
class PseudoLabelConfig:
    """When a detection of the teacher becomes a box."""

    threshold: float = 0.35  # score from which it is an object, weighted by its score
    doubt: float = 0.12  # score from which it is `difficult`: its place is neither rewarded nor punished
    same_iou: float = 0.5  # overlap with a known box of the class from which it is that object again


def complete(sample: Sample, labels: tuple[str, ...], found: Detections, config: PseudoLabelConfig) -> list[tuple]:
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


def probabilities(
    box_xyxy: tuple, found: Detections, labels: tuple[str, ...], config: PseudoLabelConfig
) -> dict[str, float]:
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


@dataclass(frozen=True)
class LabelCounts:
    """What the teacher added: boxes (without the difficult ones), images that got one, and images in all."""

    boxes: int
    images_with_boxes: int
    images: int


def pseudo_label(
    samples: Sequence[Sample],
    labels: tuple[str, ...],
    teacher: AnyDetector,
    out_dir: str | Path,
    config: PseudoLabelConfig | None = None,
    *,
    teacher_name: str = "teacher",
    with_probabilities: bool = False,
) -> LabelCounts:
    """Writes OUT_DIR/STEM.xml for each image: the known boxes, and the teacher's for the classes without labels.

    Args:
        samples: images with what is known of them; no two may have one stem.
        teacher: an image to `Detections`, with a score threshold of at most `config.doubt`.
        teacher_name: what <teacher> in the XML says.
        with_probabilities: also write the teacher's class probabilities for each object, known ones too.

    Raises:
        TrainError: two images have one stem, or an image cannot be read.
    """
    config, out_dir = config or PseudoLabelConfig(), Path(out_dir)
    check_stems(samples, out_dir)
    boxes = with_boxes = 0
    for sample in tqdm(samples, unit="image"):
        detections = teacher(read_image(sample.image_path))
        added = complete(sample, labels, detections, config)
        shares = partial(probabilities, found=detections, labels=labels, config=config) if with_probabilities else None
        write_annotation(out_dir / f"{sample.image_path.stem}.xml", sample, labels, added, teacher_name, shares)
        certain = sum(not difficult for *_, difficult in added)
        boxes += certain
        with_boxes += certain > 0
    return LabelCounts(boxes, with_boxes, len(samples))
