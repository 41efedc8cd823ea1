"""A data set in whatever format it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...common.errors import TrainError
from ..sample import Sample
from .coco import is_coco, load_coco
from .folder import load_folder
from .voc import load_voc, read_annotation
from .yolo import find_yaml, images_in, load_yolo

HELP = "data set: VOC devkit, COCO (annotations/*.json), YOLO (data.yaml), or images with XML or txt beside them"
ANNOTATIONS_HELP = "folder of XML files that replace those of the data set (python -m train label)"


def load_dataset(
    path: str | Path, splits: Sequence[str], labels: Sequence[str], annotations: str | Path | None = None
) -> list[Sample]:
    """All images of the named splits. The format is the first of these that is found in the folder:

    | found | format | a split is |
    |---|---|---|
    | ImageSets/Main | VOC devkit (`voc.py`) | a file there |
    | annotations/*.json | COCO (`coco.py`) | such a file |
    | data.yaml | YOLO (`yolo.py`) | a key in it |
    | images | plain folder (`folder.py`) | a subfolder, a .txt file of names, or `all` |

    Args:
        splits: names of splits; an image may be in only one.
        labels: class names, whose positions are the class ids; other objects are left out.
        annotations: a folder with XML files that replace what the data set says, image by image, found by the
            image's name without suffix (as `python -m train label` writes them).

    Raises:
        TrainError: naming the file, when something is missing or malformed.
    """
    root = Path(path)
    if not root.is_dir():
        raise TrainError(f"{root}: no such folder; expected a {HELP}")
    if (root / "ImageSets" / "Main").is_dir():
        return load_voc(root, splits, labels, annotations)
    if is_coco(root):
        samples = [sample for name in splits for sample in load_coco(root, name, labels)]
    elif yaml_path := find_yaml(root):
        samples = [sample for name in splits for sample in load_yolo(yaml_path, name, labels)]
    elif images_in(root):
        samples = [sample for name in splits for sample in load_folder(root, name, labels)]
    else:
        raise TrainError(f"{root}: nothing known in it; expected a {HELP}")
    _check(root, splits, samples)
    return samples if annotations is None else _replaced(samples, Path(annotations), labels)


def check_stems(samples: Sequence[Sample], annotations: Path) -> None:
    """Raises TrainError where an XML file in the folder `annotations` could mean any of several images."""
    stem, count = Counter(sample.image_path.stem for sample in samples).most_common(1)[0]
    if count > 1:
        raise TrainError(f"{annotations}: {count} images are called {stem}; {stem}.xml there could mean any of them")


def _check(root: Path, splits: Sequence[str], samples: Sequence[Sample]) -> None:
    if not samples:
        raise TrainError(f"{root}: the splits {', '.join(splits)} hold no image")
    if len({sample.image_path for sample in samples}) < len(samples):
        raise TrainError(f"{root}: the splits {', '.join(splits)} hold an image twice")
    if not any(sample.labelled.any() for sample in samples):
        raise TrainError(f"{root}: none of its images is labelled for a class of --labels; are the names the same?")


def _replaced(samples: Sequence[Sample], annotations: Path, labels: Sequence[str]) -> list[Sample]:
    if not annotations.is_dir():
        raise TrainError(f"{annotations}: no such folder of annotations")
    check_stems(samples, annotations)
    xml_paths = [annotations / f"{sample.image_path.stem}.xml" for sample in samples]
    return [
        read_annotation(xml_path, sample.image_path, labels) if xml_path.exists() else sample
        for xml_path, sample in zip(xml_paths, samples)
    ]
