"""What several tests build or compute: specs, boxes, brute-force IoU, and a VOC devkit folder of drawn images."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec

# one colour per VOC class, far enough apart for a small net and for a look at the image
COLOURS_BGR = {
    label: tuple(int(v) for v in cv2.cvtColor(np.uint8([[[i * 9, 255, 255 - i % 3 * 60]]]), cv2.COLOR_HSV2BGR)[0, 0])
    for i, label in enumerate(VOC_LABELS)
}


def make_spec(**changes: object) -> ModelSpec:
    """A small valid spec whose width, height, rows, columns, shapes and classes all differ."""
    values = {
        "labels": ("bird", "cat", "dog", "sheep", "cow"),
        "input_wh": (96, 64),
        "grid_hw": (3, 4),
        "anchors_wh": ((20.0, 30.0), (48.0, 24.0)),
    }
    return ModelSpec.single(**(values | changes))


def random_boxes(
    rng: np.random.Generator, count: int, size_wh: tuple[float, float], smallest: float = 2.0, outside: float = 0.0
) -> np.ndarray:
    """(count, 4) float32 corners in an image of size_wh, or up to `outside` pixels beyond its borders."""
    extent = np.asarray(size_wh) + 2 * outside
    wh = rng.uniform(smallest, extent / 2, (count, 2))
    xy = rng.uniform(0, extent - wh) - outside
    return np.concatenate([xy, xy + wh], axis=1).astype(np.float32)


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes, written out."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = float(width) * float(height)
    area_a = float(a[2] - a[0]) * float(a[3] - a[1])
    area_b = float(b[2] - b[0]) * float(b[3] - b[1])
    return inside / (area_a + area_b - inside)


@dataclass(frozen=True)
class Thing:
    """An object of a drawn image; the box in continuous pixel coordinates, at whole pixels."""

    label: str
    box_xyxy: tuple[int, int, int, int]
    difficult: bool = False
    score: float | None = None


def write_photo(
    root: Path,
    image_id: str,
    things: list[Thing],
    size_wh: tuple[int, int] = (96, 72),
    labelled: str | None = None,
    suffix: str = ".jpg",
) -> None:
    """JPEGImages/ID.jpg with a filled rectangle per thing on grey noise, and Annotations/ID.xml."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(image_id) + len(things))
    image = rng.integers(90, 130, (size_wh[1], size_wh[0], 1), np.uint8).repeat(3, axis=2)
    for thing in things:
        x1, y1, x2, y2 = thing.box_xyxy
        image[y1:y2, x1:x2] = COLOURS_BGR.get(thing.label, (255, 255, 255))
    cv2.imwrite(str(root / "JPEGImages" / f"{image_id}{suffix}"), image)
    (root / "Annotations" / f"{image_id}.xml").write_text(annotation_xml(things, labelled))


def annotation_xml(things: list[Thing], labelled: str | None = None) -> str:
    """VOC XML; `labelled` becomes source/labelled: class names, "all" or ""."""
    top = ET.Element("annotation")
    source = ET.SubElement(top, "source")
    if labelled is not None:
        ET.SubElement(source, "labelled").text = labelled
    for thing in things:
        item = ET.SubElement(top, "object")
        ET.SubElement(item, "name").text = thing.label
        ET.SubElement(item, "difficult").text = str(int(thing.difficult))
        if thing.score is not None:
            ET.SubElement(item, "score").text = str(thing.score)
        x1, y1, x2, y2 = thing.box_xyxy
        corners = ET.SubElement(item, "bndbox")
        for key, value in {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": x2, "ymax": y2}.items():
            ET.SubElement(corners, key).text = str(value)
    return ET.tostring(top, encoding="unicode")


def write_list(root: Path, name: str, image_ids: list[str]) -> None:
    path = root / "ImageSets" / "Main" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{image_id}\n" for image_id in image_ids))


def write_devkit(root: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """A devkit with a list of so many images per name in `counts`: one to three coloured things an image, some
    difficult; a third of the images is labelled for only some classes, and then all boxes of it are of those."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        image_ids = [f"{name}_{i:03d}" for i in range(count)]
        for i, image_id in enumerate(image_ids):
            size_wh = (int(rng.integers(80, 120)), int(rng.integers(60, 100)))
            width, height = size_wh
            things = []
            for n in range(int(rng.integers(1, 4))):
                # one third of the image each, so that none covers another
                left = n * width // 3
                w, h = int(rng.integers(width // 5, width // 3)), int(rng.integers(height // 4, height // 2))
                x, y = left + int(rng.integers(0, width // 3 - w + 1)), int(rng.integers(0, height - h))
                label = ("bird", "cat", "dog")[int(rng.integers(3))]
                things.append(Thing(label, (x, y, x + w, y + h), difficult=n == 2))
            partial = name == "train" and i % 3 == 2
            write_photo(root, image_id, things, size_wh, "bird cat dog" if partial else None)
        write_list(root, name, image_ids)
    return root
