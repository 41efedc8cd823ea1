"""A VOC devkit's list written out again in the other formats, so that the readers can be held against `load_voc`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.helpers import Thing, write_list, write_photo
from train.data.sample import Sample

# not in the order of LABELS, and with a class that is not trained
NAMES = ("zebra", "traffic light", "dog", "cat")
LABELS = ("cat", "dog", "traffic light")


def write_voc(root: Path) -> Path:
    """Lists train and val. Image b is labelled for two classes only, one of them with a space in its name."""
    write_photo(root, "a", [Thing("cat", (0, 0, 96, 72)), Thing("dog", (10, 5, 30, 25))])
    write_photo(root, "b", [Thing("traffic light", (3, 4, 50, 60), score=0.625)], labelled="dog, traffic light")
    write_photo(root, "c", [], (60, 80))
    write_photo(root, "d", [Thing("dog", (20, 20, 40, 30)), Thing("cat", (1, 2, 9, 8))], suffix=".png")
    write_list(root, "train", ["a", "b", "c"])
    write_list(root, "val", ["d"])
    return root


def write_coco(root: Path, name: str, samples: list[Sample]) -> None:
    """annotations/instances_NAME.json and the images in NAME."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image_id, sample in enumerate(samples, start=100):
        _copy(sample.image_path, root / name)
        images.append({"id": image_id, "file_name": sample.image_path.name})
        if not sample.labelled.all():
            images[-1]["labelled"] = _known(sample)
        for (x1, y1, x2, y2), class_id, ignore, weight in zip(
            sample.boxes_xyxy.tolist(), sample.class_ids, sample.ignore, sample.weights.tolist()
        ):
            annotation = {"id": len(annotations), "image_id": image_id, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotation["category_id"] = 10 + NAMES.index(LABELS[class_id])
            annotations.append(annotation | {"iscrowd": int(ignore), "score": weight})
    categories = [{"id": 10 + i, "name": label} for i, label in enumerate(NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))


def write_yolo(root: Path, name: str, samples: list[Sample]) -> None:
    """images/NAME, labels/NAME and data.yaml."""
    path = root / "data.yaml"
    content = yaml.safe_load(path.read_text()) if path.exists() else {"names": list(NAMES), "labelled": {}}
    content[name] = f"images/{name}"
    for sample in samples:
        _copy(sample.image_path, root / "images" / name)
        _write_txt(root / "labels" / name / f"{sample.image_path.stem}.txt", sample)
        if not sample.labelled.all():
            content["labelled"][f"*/{name}/{sample.image_path.stem}.*"] = _known(sample)
    path.write_text(yaml.safe_dump(content))


def write_folder_with_xml(root: Path, name: str, samples: list[Sample]) -> None:
    """NAME with images and the devkit's XML files."""
    for sample in samples:
        _copy(sample.image_path, root / name)
        _copy(sample.image_path.parent.parent / "Annotations" / f"{sample.image_path.stem}.xml", root / name)


def write_folder_with_txt(root: Path, name: str, samples: list[Sample]) -> None:
    """NAME with images and YOLO txt; the format cannot say that an image lacks classes."""
    for sample in samples:
        _copy(sample.image_path, root / name)
        _write_txt(root / name / f"{sample.image_path.stem}.txt", sample)
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")


WRITERS: dict[str, Callable[[Path, str, list[Sample]], None]] = {
    "COCO": write_coco,
    "YOLO": write_yolo,
    "folder with XML": write_folder_with_xml,
    "folder with txt": write_folder_with_txt,
}


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, folder)


def _known(sample: Sample) -> list[str]:
    return [label for label, known in zip(LABELS, sample.labelled) if known]


def _write_txt(path: Path, sample: Sample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = {"c": (60, 80)}.get(sample.image_path.stem, (96, 72))
    lines = []
    for (x1, y1, x2, y2), class_id, weight in zip(
        sample.boxes_xyxy.tolist(), sample.class_ids, sample.weights.tolist()
    ):
        numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height, weight)
        lines.append(f"{NAMES.index(LABELS[class_id])} " + " ".join(map(repr, numbers)))
    if lines:
        path.write_text("\n".join(lines) + "\n")
