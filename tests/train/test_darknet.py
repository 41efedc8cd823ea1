from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from train.darknet import DarknetDetector
from train.errors import TrainError

CFG = """[net]
# width=1 in a comment is no width
width=64
height = 96
channels=3

[convolutional]
filters={filters}
size=1
stride=32
pad=0
activation=linear

[yolo]
mask=0
anchors=16,24
classes={classes}
num=1
width=7
"""

needs_importer = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromDarknet"), reason="this OpenCV has no Darknet importer (4.x has)"
)


def make_darknet(folder: Path, classes: int = 2) -> Path:
    """A 2 x 3 grid whose cells see one pixel: an object where it is red, of class 0 unless it is also blue."""
    (folder / "tiny.cfg").write_text(CFG.format(filters=5 + classes, classes=classes))
    bias, weight = np.zeros(5 + classes, np.float32), np.zeros((5 + classes, 3), np.float32)  # channels: R, G, B
    bias[4], weight[4, 0] = -6, 12
    bias[5], weight[5, 2] = 4, -8
    bias[6], weight[6, 2] = -4, 8
    with (folder / "tiny.weights").open("wb") as file:
        np.array([0, 2, 0], np.int32).tofile(file)
        np.array([0], np.int64).tofile(file)
        bias.tofile(file)
        weight.tofile(file)
    return folder / "tiny.cfg"


@needs_importer
def test_a_darknet_model_detects_what_it_was_made_for(tmp_path: Path):
    detector = DarknetDetector(make_darknet(tmp_path), ("one", "two"))
    image = np.zeros((192, 192, 3), np.uint8)  # each cell is 96 x 64 of it
    image[:64, 96:] = (0, 0, 255)
    image[128:, :96] = (255, 0, 255)
    found = detector(image)
    assert [d.label for d in sorted(found, key=lambda d: d.class_id)] == ["one", "two"]
    boxes = found.boxes_xyxy[np.argsort(found.class_ids)]
    # cell centres, and 16 x 24 of 64 x 96 input pixels stretched to the picture: 48 x 48
    np.testing.assert_allclose(boxes, [[120, 8, 168, 56], [24, 136, 72, 184]], atol=0.01)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-6)) / (1 + np.exp(-4)), atol=1e-4)


@needs_importer
def test_a_wrong_number_of_labels_is_said(tmp_path: Path):
    detector = DarknetDetector(make_darknet(tmp_path), ("one", "two", "three"))
    with pytest.raises(TrainError, match="has 2 classes, expected 3"):
        detector(np.zeros((64, 64, 3), np.uint8))


def _replace(old: str, new: str):
    return lambda cfg: cfg.write_text(cfg.read_text().replace(old, new))


BAD = {
    "no weights": (
        lambda cfg: cfg.with_suffix(".weights").unlink(),
        r"tiny\.weights: no such file; a Darknet model is",
    ),
    "no cfg": (lambda cfg: cfg.unlink(), r"tiny\.cfg: no such file; a Darknet model is"),
}
BAD_CFG = {
    "unknown layer": (_replace("[yolo]", "[oracle]"), r"tiny\.cfg: OpenCV cannot read this Darknet model"),
    "no size": (_replace("width=64", ""), r"tiny\.cfg: "),
    "size not a number": (_replace("height = 96", "height = tall"), r"tiny\.cfg: "),
}


@pytest.mark.parametrize(
    ("damage", "message"),
    [pytest.param(*case, id=name) for name, case in BAD.items()]
    + [pytest.param(*case, id=name, marks=needs_importer) for name, case in BAD_CFG.items()],
)
def test_a_bad_model_is_named(tmp_path: Path, damage, message: str):
    cfg = make_darknet(tmp_path)
    damage(cfg)
    with pytest.raises(TrainError, match=message):
        DarknetDetector(cfg, ("one", "two"))


def test_opencv_5_says_what_to_do(tmp_path: Path, monkeypatch):
    monkeypatch.delattr(cv2.dnn, "readNetFromDarknet", raising=False)
    with pytest.raises(TrainError, match="has no Darknet importer; use OpenCV 4.x"):
        DarknetDetector(make_darknet(tmp_path), ("one", "two"))
