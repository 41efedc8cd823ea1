"""Images with boxes as YOLO txt.

    ROOT/data.yaml    names: class names, a list or id: name; SPLIT: a folder of images, a .txt file with one
                      image a line, or several of these; path: what these are relative to (default: where the file is)
    images/.../A.jpg  an image, with its objects in
    labels/.../A.txt  the same path with its last `images` replaced; beside the image if there is no `images` in it

A line is `CLASS_ID CENTRE_X CENTRE_Y WIDTH HEIGHT`, lengths as shares of the image's, then optionally the score that
a teacher gave. No file means no object. The format has no `difficult`.

An image counts as labelled for all classes in `names`. This project's own key `labelled` says otherwise: it maps
patterns (as in fnmatch, on the image's path from `path` on) to lists of the names that are boxed completely there;
the first that matches counts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tqdm import tqdm

from sqdet_cv.media.find import IMAGE_SUFFIXES

from ...common.errors import TrainError
from ..cache import read_image
from ..sample import Annotation, Sample, make_sample


def find_yaml(root: Path) -> Path | None:
    return next((path for path in (root / "data.yaml", root / "data.yml") if path.is_file()), None)


def load_yolo(yaml_path: Path, name: str, labels: Sequence[str]) -> list[Sample]:
    """The images of one split: a folder's by name, a file's in its order. Objects of other classes are left out.

    Every image with objects is read, because the format gives no sizes in pixels.

    Raises:
        TrainError: naming the file, when something is missing or malformed.
    """
    content = _read_yaml(yaml_path)
    names = _names(content, yaml_path)
    if name not in content:
        raise TrainError(f"{yaml_path}: no split {name!r} in it; there are the keys {', '.join(map(str, content))}")
    base = yaml_path.parent / (content.get("path") or "")
    places = content[name] if isinstance(content[name], list) else [content[name]]
    image_paths = [image_path for place in places for image_path in _image_files(base / str(place))]
    patterns = _labelled_patterns(content, names, yaml_path)
    samples = []
    for image_path in tqdm(image_paths, desc=f"{name}: sizes", unit="image", delay=1):
        inside = image_path.relative_to(base).as_posix() if image_path.is_relative_to(base) else image_path.as_posix()
        known = next((known for pattern, known in patterns if fnmatch(inside, pattern)), names)
        samples.append(read_txt(txt_path(image_path), image_path, names, known, labels))
    return samples


def txt_path(image_path: Path) -> Path:
    """The file with the objects of an image.

    >>> txt_path(Path("set/images/val/A.jpg")).as_posix()
    'set/labels/val/A.txt'
    """
    parts = list(image_path.parts)
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_txt(path: Path, image_path: Path, names: Sequence[str], known: Sequence[str], labels: Sequence[str]) -> Sample:
    """One txt file of an image; a missing one is an image without objects.

    Args:
        names: the data set's classes in the order of their ids; known: those boxed completely in this image.
        labels: the classes to train, whose positions are the sample's class ids.
    """
    lines = [line.split() for line in path.read_text().splitlines()] if path.is_file() else []
    labelled = [label in known for label in labels]
    if not any(lines):
        return make_sample(image_path, [], labelled, None)
    height, width = read_image(image_path).shape[:2]
    rows = []
    for number, words in enumerate(lines, start=1):
        if not words:
            continue
        where = f"{path}, line {number}"
        try:
            class_id, (x, y, w, h, weight) = int(words[0]), map(float, [*words[1:], *["1"][len(words) - 5 :]])
        except ValueError:
            raise TrainError(f"{where}: {' '.join(words)!r}: expected CLASS_ID X Y WIDTH HEIGHT [SCORE]") from None
        if not 0 <= class_id < len(names):
            raise TrainError(f"{where}: class {class_id}; there are {len(names)} names, the first is 0")
        if not (0 < w <= 1 and 0 < h <= 1 and 0 <= x <= 1 and 0 <= y <= 1 and 0 < weight <= 1):
            raise TrainError(f"{where}: {' '.join(words)!r}: expected shares of the image's size, 0 to 1")
        if names[class_id] in labels:
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            rows.append(Annotation(box, labels.index(names[class_id]), weight=weight))
    return make_sample(image_path, rows, labelled, (width, height))


def images_in(folder: Path) -> list[Path]:
    """The images of a folder and of those in it, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _image_files(place: Path) -> list[Path]:
    if place.is_dir():
        return images_in(place)
    if place.suffix == ".txt" and place.is_file():
        return [place.parent / line.strip() for line in place.read_text().splitlines() if line.strip()]
    raise TrainError(f"{place}: no such folder of images or .txt file that names them")


def _read_yaml(path: Path) -> dict:
    if importlib.util.find_spec("yaml") is None:
        raise TrainError(f"{path}: reading it needs PyYAML: pip install '.[train]'")
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TrainError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TrainError(f"{path}: expected keys and values: names, train, val")
    return content


def _names(content: dict, path: Path) -> list[str]:
    names = content.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[class_id] for class_id in range(len(names))]
    if not isinstance(names, list) or not names:
        raise TrainError(f"{path}: names: expected a list of class names, or 0: NAME, 1: NAME and so on")
    return [str(name) for name in names]


def _labelled_patterns(content: dict, names: Sequence[str], path: Path) -> list[tuple[str, list[str]]]:
    patterns = content.get("labelled") or {}
    if not isinstance(patterns, dict):
        raise TrainError(f"{path}: labelled: expected PATTERN: [NAME, NAME] lines")
    for pattern, known in patterns.items():
        if not isinstance(known, list) or not set(names).issuperset(known):
            raise TrainError(f"{path}: labelled: {pattern}: {known}: expected a list of some of the names")
    return list(patterns.items())
