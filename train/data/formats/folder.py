"""A plain folder: images with VOC XML or YOLO txt of the same name beside them.

A split NAME is the subfolder of that name, or the images that the file NAME.txt names, one a line, with or without
suffix; `all` is every image. The class ids in txt files are line numbers, from 0, of classes.txt in the split's folder
or the folder itself (as labelImg writes it). An image with neither file has no object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import TrainError
from ..sample import Sample
from .voc import read_annotation
from .yolo import images_in, read_txt


def load_folder(root: Path, name: str, labels: Sequence[str]) -> list[Sample]:
    """The images of one split: a folder's by name, a file's in its order.

    Raises:
        TrainError: naming the file, when something is missing or malformed, or where no image has a file beside it.
    """
    image_paths = _image_files(root, name)
    if not any(image_path.with_suffix(suffix).is_file() for image_path in image_paths for suffix in (".xml", ".txt")):
        raise TrainError(f"{root}: split {name!r}: no .xml or .txt file beside any of its {len(image_paths)} images")
    return [_read(image_path, root, labels) for image_path in image_paths]


def _image_files(root: Path, name: str) -> list[Path]:
    if name == "all":
        return images_in(root)
    if (root / name).is_dir():
        return images_in(root / name)
    path = root / f"{name}.txt"
    if not path.is_file():
        raise TrainError(f"{root}: no split {name!r}: expected a folder {name}, a file {name}.txt, or the split all")
    image_paths = {key: image_path for image_path in images_in(root) for key in _keys(image_path, root)}
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if missing := [line for line in lines if line not in image_paths]:
        raise TrainError(f"{path}: no image {missing[0]!r} in {root}")
    return [image_paths[line] for line in lines]


def _keys(image_path: Path, root: Path) -> tuple[str, str]:
    inside = image_path.relative_to(root)
    return inside.as_posix(), inside.with_suffix("").as_posix()


def _read(image_path: Path, root: Path, labels: Sequence[str]) -> Sample:
    if image_path.with_suffix(".xml").is_file():
        return read_annotation(image_path.with_suffix(".xml"), image_path, labels)
    txt = image_path.with_suffix(".txt")
    names = _class_names(txt, root) if txt.is_file() else labels
    return read_txt(txt, image_path, names, names, labels)


def _class_names(txt: Path, root: Path) -> list[str]:
    for path in (txt.parent / "classes.txt", root / "classes.txt"):
        if path.is_file():
            return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    raise TrainError(f"{txt}: no classes.txt beside it or in {root}, so its class ids have no names")
