"""Images with boxes in the VOC devkit layout: JPEGImages, Annotations (XML), ImageSets/Main (splits)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from ...common.errors import TrainError
from ..sample import Annotation, Sample, make_sample


def load_voc(
    root: str | Path, splits: Sequence[str], labels: Sequence[str], annotations: str | Path | None = None
) -> list[Sample]:
    """All images of the named splits.

    Args:
        root: the devkit folder.
        splits: names in ImageSets/Main, without `.txt`. An image may be in only one.
        labels: class names; objects of other classes are left out.
        annotations: a folder with XML files that replace those of the devkit, image by image (as
            `python -m train label` writes them).

    Raises:
        TrainError: naming the file, when something is missing or malformed.
    """
    root = Path(root)
    if not (root / "ImageSets" / "Main").is_dir():
        raise TrainError(f"{root}: not a VOC devkit folder: it has no ImageSets/Main")
    if annotations is not None and not Path(annotations).is_dir():
        raise TrainError(f"{annotations}: no such folder of annotations")
    image_ids = [image_id for name in splits for image_id in _read_split(root, name)]
    if not image_ids:
        raise TrainError(f"{root}: the splits {', '.join(splits)} hold no image")
    if len(set(image_ids)) < len(image_ids):
        raise TrainError(f"{root}: the splits {', '.join(splits)} hold an image twice")
    if not (root / "JPEGImages").is_dir():
        raise TrainError(f"{root}: not a VOC devkit folder: it has no JPEGImages")
    images = {path.stem: path for path in (root / "JPEGImages").iterdir()}
    samples = []
    for image_id in image_ids:
        if image_id not in images:
            raise TrainError(f"{root}/JPEGImages: no image for {image_id!r}, which a split names")
        xml_path = root / "Annotations" / f"{image_id}.xml"
        if annotations is not None and (Path(annotations) / f"{image_id}.xml").exists():
            xml_path = Path(annotations) / f"{image_id}.xml"
        samples.append(read_annotation(xml_path, images[image_id], labels))
    return samples


def _read_split(root: Path, name: str) -> list[str]:
    path = root / "ImageSets" / "Main" / f"{name}.txt"
    if not path.is_file():
        there = sorted(p.stem for p in path.parent.glob("*.txt"))
        raise TrainError(f"{path}: no such split; there are {', '.join(there)}")
    # VOC's per-class splits carry a second column
    return [line.split()[0] for line in path.read_text().splitlines() if line.strip()]


def read_annotation(xml_path: Path, image_path: Path, labels: Sequence[str]) -> Sample:
    """One XML file.

    A file without `source/labelled` is VOC's own: every class is boxed. The text of that element, or of several, is
    "all", a class name, or a list of them: with commas or semicolons if there are any, else with spaces.
    """
    ids = {label: i for i, label in enumerate(labels)}
    try:
        tree = ET.parse(xml_path).getroot()
    except OSError as error:
        raise TrainError(f"{xml_path}: cannot read it: {error.strerror}") from None
    except ET.ParseError as error:
        raise TrainError(f"{xml_path}: not XML: {error}") from None

    known = _labelled_names(tree, labels)
    rows = []
    for item in tree.iter("object"):
        name = item.findtext("name", "").strip()
        if name not in ids:
            continue
        try:
            xmin, ymin, xmax, ymax = (float(item.findtext(f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax"))
            weight = float(item.findtext("score", "1"))
            difficult = int(item.findtext("difficult", "0"))
        except (TypeError, ValueError):
            raise TrainError(f"{xml_path}: a {name} whose bndbox, score or difficult is not a number") from None
        shares = _class_probabilities(item, ids, xml_path)
        if not (xmax >= xmin and ymax >= ymin and 0 < weight <= 1):
            raise TrainError(f"{xml_path}: a {name} with corners {xmin, ymin, xmax, ymax} and score {weight}")
        rows.append(Annotation((xmin - 1, ymin - 1, xmax, ymax), ids[name], difficult != 0, weight, shares))
    return make_sample(image_path, rows, [label in known for label in labels], _image_size(tree))


def _class_probabilities(item: ET.Element, ids: dict[str, int], xml_path: Path) -> list[float] | None:
    """A teacher's probabilities of the classes in `ids`, of sum 1; None where the file has none of them."""
    shares = [0.0] * len(ids)
    for element in item.findall("probability"):
        try:
            share = float(element.text or "")
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            name, text = element.get("name"), element.text
            raise TrainError(f"{xml_path}: a probability of {name!r} of {text!r}; expected a number of 0 to 1")
        if element.get("name") in ids:
            shares[ids[element.get("name")]] = share
    total = sum(shares)
    return [share / total for share in shares] if total > 0 else None


def _labelled_names(tree: ET.Element, labels: Sequence[str]) -> set[str]:
    texts = [(element.text or "").strip() for element in tree.findall("source/labelled")]
    if not texts or "all" in texts:
        return set(labels)
    names: set[str] = set()
    for text in texts:
        if text in labels:  # one name may hold spaces
            names.add(text)
        elif "," in text or ";" in text:
            names.update(name.strip() for name in text.replace(";", ",").split(","))
        else:
            names.update(text.split())
    return names


def _image_size(tree: ET.Element) -> tuple[int, int] | None:
    """Some tools leave `size` out, or write 0."""
    texts = [tree.findtext(f"size/{key}", "").strip() for key in ("width", "height")]
    width, height = (int(text) if text.isdecimal() else 0 for text in texts)
    return (width, height) if width and height else None
