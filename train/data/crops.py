"""The boxes of a data set as images in ImageNet's layout."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..common.errors import TrainError
from .cache import read_image
from .sample import Sample


def crop_box(image_bgr: np.ndarray, box_xyxy: np.ndarray, margin: float) -> np.ndarray:
    """The box out of (H, W, 3), each side moved outwards by `margin` times the box's width or height, as far as the
    image goes. Borders are rounded outwards to whole pixels; a box outside the image gives an empty image."""
    height, width = image_bgr.shape[:2]
    x1, y1, x2, y2 = map(float, box_xyxy)
    dx, dy = margin * (x2 - x1), margin * (y2 - y1)
    left, top = max(int(np.floor(x1 - dx)), 0), max(int(np.floor(y1 - dy)), 0)
    right, bottom = min(int(np.ceil(x2 + dx)), width), min(int(np.ceil(y2 + dy)), height)
    return image_bgr[top:bottom, left:right]


def write_crops(
    samples: Sequence[Sample], labels: Sequence[str], folder: Path, margin: float, min_side: int, max_side: int
) -> int:
    """Writes FOLDER/CLASS/IMAGE_N.jpg and returns how many there are. `ignore` objects are left out.
    The folder appears whole or not at all.

    Args:
        min_side: boxes whose shorter side in the image has fewer pixels are left out.
        max_side: larger crops are shrunk to this longer side.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        whole = Path(temporary) / folder.name
        for sample in tqdm(samples, desc=folder.name, unit="image", disable=None):
            image = read_image(sample.image_path)
            for n, (box, class_id) in enumerate(zip(sample.boxes_xyxy, sample.class_ids)):
                if sample.ignore[n] or min(box[2:] - box[:2]) < min_side:
                    continue
                crop = crop_box(image, box, margin)
                if crop.size == 0:
                    raise TrainError(f"{sample.image_path}: box {box.tolist()} lies outside the image")
                path = whole / labels[class_id] / f"{sample.image_path.stem}_{n}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                if not cv2.imwrite(str(path), _shrink(crop, max_side), [cv2.IMWRITE_JPEG_QUALITY, 95]):
                    raise TrainError(f"{path}: OpenCV cannot write it")
                written += 1
        if not written:
            raise TrainError(f"{folder}: nothing to write: no box of at least {min_side} pixels in its images")
        os.replace(whole, folder)
    return written


def _shrink(image_bgr: np.ndarray, max_side: int) -> np.ndarray:
    height, width = image_bgr.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image_bgr
    size_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA)
