"""Models that see pure red and pure blue (`tests.write_colour_models`), and an image whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data" / "colours"
DETECTOR = FOLDER / "detector.onnx"  # 96 x 64 px, head `decoded`
CLASSIFIER = FOLDER / "classifier.onnx"  # 24 x 16 px out of the middle of 32 x 32

RED_BGR, BLUE_BGR = (0, 0, 255), (255, 0, 0)
RED_XYXY, BLUE_XYXY = (0, 32, 64, 96), (96, 64, 160, 128)  # as two cells of the detector see them


def red_and_blue_picture() -> np.ndarray:
    """192 x 128 px, twice the detector's input: a red and a blue square on grey."""
    image_bgr = np.full((128, 192, 3), 120, np.uint8)
    for color, (x1, y1, x2, y2) in ((RED_BGR, RED_XYXY), (BLUE_BGR, BLUE_XYXY)):
        image_bgr[y1:y2, x1:x2] = color
    return image_bgr
