"""An image to the blob that a network reads."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..spec.classifier_spec import ClassifierSpec
from ..spec.detector_spec import ModelSpec


def resize_to_input(image_bgr: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Stretches (H, W, 3) uint8 to the input size.

    Linear interpolation reads only four source pixels, so an image more than twice too large would alias
    (a 4000-pixel image loses thin objects); such a one is averaged over areas instead, along each axis that shrinks.
    """
    (height, width), (input_width, input_height) = image_bgr.shape[:2], input_wh
    if max(width / input_width, height / input_height) > 2:
        # OpenCV averages nothing if an axis is enlarged: that is done afterwards
        small_wh = min(width, input_width), min(height, input_height)
        image_bgr = cv2.resize(image_bgr, small_wh, interpolation=cv2.INTER_AREA)
    return cv2.resize(image_bgr, input_wh, interpolation=cv2.INTER_LINEAR)


def images_to_blob(
    images_bgr: Sequence[np.ndarray], spec: ModelSpec | ClassifierSpec, crop: bool = False
) -> np.ndarray:
    """Images of any size, each (H, W, 3) uint8 BGR, to (N, 3, height, width) float32 as the spec says.

    Args:
        crop: False: images are stretched; True: they are scaled until they cover the input, and their middle is
            taken, as cv2.dnn.blobFromImages does it.
    """
    resized = images_bgr if crop else [resize_to_input(image, spec.input_wh) for image in images_bgr]
    mean = spec.mean_bgr[::-1] if spec.rgb else spec.mean_bgr  # OpenCV swaps the channels before it subtracts
    return cv2.dnn.blobFromImages(resized, spec.scale, spec.input_wh, mean, swapRB=spec.rgb, crop=crop)


def classifier_blob(image_bgr: np.ndarray, spec: ClassifierSpec) -> np.ndarray:
    """An image of any size, (H, W, 3) uint8 BGR, to (1, 3, height, width) float32 by the spec's resize rule."""
    if spec.resize == "center_crop":
        side, (width, height) = spec.resize_side or 0, spec.input_wh  # the spec holds that it is there
        left, top = (side - width) // 2, (side - height) // 2
        image_bgr = resize_to_input(image_bgr, (side, side))[top : top + height, left : left + width]
    return images_to_blob([image_bgr], spec)
