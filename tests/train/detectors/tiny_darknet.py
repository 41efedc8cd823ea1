"""A Darknet net small enough to write by hand, and what a test needs that reads one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

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
