"""The tiny int8 model (`tests.write_int8_model`) and the image for which its answer is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data" / "int8"
MODEL = FOLDER / "tiny.onnx"  # 64 x 48 px, head `decoded`
ANSWER = FOLDER / "answer.json"  # boxes_xyxy and scores of the 70 anchors


def picture() -> np.ndarray:
    """64 x 48 px, the model's input size: coarse random blocks."""
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)
