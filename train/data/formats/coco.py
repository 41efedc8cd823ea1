"""Images with boxes in COCO's JSON.

    ROOT/annotations/instances_SPLIT.json  or SPLIT.json, there or in ROOT itself
    ROOT/SPLIT/IMAGE                       or in ROOT/images/LIST, ROOT/images or ROOT

`iscrowd` boxes are neither right nor wrong to find. An image counts as labelled for all classes among the file's
categories. Two keys are this project's own: `labelled`, in an entry of
`images`, is the list of the category names that are boxed completely there; `score`, in (0, 1], in an annotation, is
the weight that a teacher gave. `ignore` of 1 in an annotation, which converters from VOC write for `difficult`, counts
as `iscrowd`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...common.errors import TrainError
from ..sample import Annotation, Sample, make_sample


def is_coco(root: Path) -> bool:
    return any((root / "annotations").glob("*.json"))


def load_coco(root: Path, name: str, labels: Sequence[str]) -> list[Sample]:
    """The images of one split, in the order of the file. Annotations of other classes are left out, and so are those
    without width or height, of which COCO itself has a few.

    Raises:
        TrainError: naming the file, when something is missing or malformed.
    """
    path = _find_json(root, name)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise TrainError(f"{path}: not JSON: {error}") from None
    try:
        names = {category["id"]: category["name"] for category in content["categories"]}
        images = {image["id"]: image for image in content["images"]}
        rows: dict[object, list[Annotation]] = {image_id: [] for image_id in images}
        for item in content["annotations"]:
            row = _row(item, names, labels, path)
            if row is not None:
                rows[item["image_id"]].append(row)
        folders = [root / name, root / "images" / name, root / "images", root]
        return [
            make_sample(
                _find_image(folders, image["file_name"], path),
                rows[image_id],
                _labelled(image, names.values(), labels, path),
                (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None,
            )
            for image_id, image in images.items()
        ]
    except KeyError as error:
        raise TrainError(f"{path}: not COCO's form: {error.args[0]!r} is missing or named but not there") from None
    except (TypeError, AttributeError) as error:
        raise TrainError(f"{path}: not COCO's form: {error}") from None


def _find_json(root: Path, name: str) -> Path:
    candidates = [root / "annotations" / f"instances_{name}.json", root / "annotations" / f"{name}.json"]
    for path in [*candidates, root / f"{name}.json"]:
        if path.is_file():
            return path
    there = sorted(path.name for path in (root / "annotations").glob("*.json"))
    raise TrainError(f"{root}: no annotations/instances_{name}.json or annotations/{name}.json; there are {there}")


def _find_image(folders: Sequence[Path], file_name: str, path: Path) -> Path:
    for folder in folders:
        if (folder / file_name).is_file():
            return folder / file_name
    raise TrainError(f"{path}: its image {file_name} is in none of {', '.join(map(str, folders))}")


def _row(item: dict, names: dict[object, str], labels: Sequence[str], path: Path) -> Annotation | None:
    label = names[item["category_id"]]
    if label not in labels:
        return None
    where = f"{path}: annotation {item.get('id')}"
    try:
        x, y, width, height = map(float, item["bbox"])
        weight = float(item.get("score", 1))
    except (TypeError, ValueError):
        raise TrainError(f"{where}: expected a bbox of four numbers [x, y, width, height]") from None
    if not (width >= 0 and height >= 0 and 0 < weight <= 1):
        raise TrainError(f"{where}: bbox {item['bbox']} with score {weight}")
    if not (width and height):
        return None
    ignore = bool(item.get("iscrowd") or item.get("ignore"))
    return Annotation((x, y, x + width, y + height), labels.index(label), ignore, weight)


def _labelled(image: dict, names: Sequence[str], labels: Sequence[str], path: Path) -> list[bool]:
    known = set(names)
    if "labelled" in image:
        if not isinstance(image["labelled"], list) or not known.issuperset(image["labelled"]):
            where = f"{path}: image {image['file_name']}"
            raise TrainError(f"{where}: labelled {image['labelled']}: expected a list of category names")
        known = set(image["labelled"])
    return [label in known for label in labels]
