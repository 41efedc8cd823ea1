"""A plain folder: images with VOC XML or YOLO txt of the same name beside them.

A list NAME is the folder's subfolder of that name, or the images that its file NAME.txt names, one a line, with or
without suffix; `all` is every image. The ids of txt files count the lines of classes.txt, in the list's folder or the
folder itself (as labelImg writes it). An image with neither file has no object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import TrainError
from ..sample import Sample
from .voc import read_annotation
from .yolo import pictures_in, read_txt


def load_folder(root: Path, name: str, labels: Sequence[str]) -> list[Sample]:
    """The images of one list: a folder's by name, a file's in its order.

    Raises:
        TrainError: naming the file, when something is missing or malformed; where the files beside the images are
            all missing, too.
    """
    pictures = _image_files(root, name)
    if not any(picture.with_suffix(suffix).is_file() for picture in pictures for suffix in (".xml", ".txt")):
        raise TrainError(f"{root}: list {name!r}: no .xml or .txt file beside any of its {len(pictures)} images")
    return [_read(picture, root, labels) for picture in pictures]


def _image_files(root: Path, name: str) -> list[Path]:
    if name == "all":
        return pictures_in(root)
    if (root / name).is_dir():
        return pictures_in(root / name)
    path = root / f"{name}.txt"
    if not path.is_file():
        raise TrainError(f"{root}: no list {name!r}: expected a folder {name}, a file {name}.txt, or the list all")
    pictures = {key: picture for picture in pictures_in(root) for key in _keys(picture, root)}
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if missing := [line for line in lines if line not in pictures]:
        raise TrainError(f"{path}: no image {missing[0]!r} in {root}")
    return [pictures[line] for line in lines]


def _keys(picture: Path, root: Path) -> tuple[str, str]:
    inside = picture.relative_to(root)
    return inside.as_posix(), inside.with_suffix("").as_posix()


def _read(picture: Path, root: Path, labels: Sequence[str]) -> Sample:
    if picture.with_suffix(".xml").is_file():
        return read_annotation(picture.with_suffix(".xml"), picture, labels)
    txt = picture.with_suffix(".txt")
    names = _class_names(txt, root) if txt.is_file() else labels
    return read_txt(txt, picture, names, names, labels)


def _class_names(txt: Path, root: Path) -> list[str]:
    for path in (txt.parent / "classes.txt", root / "classes.txt"):
        if path.is_file():
            return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    raise TrainError(f"{txt}: no classes.txt beside it or in {root}, so its class ids have no names")
