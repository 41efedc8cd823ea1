"""A picture to the blob a network reads."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .spec import ModelSpec


def resize_to_input(image_bgr: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Stretches (H, W, 3) uint8 to the input size.

    Linear interpolation reads only four source pixels, so a picture more than twice too large would alias
    (a 4000-pixel photo loses thin objects); such a one is averaged over areas instead.
    """
    height, width = image_bgr.shape[:2]
    shrink = max(width / input_wh[0], height / input_wh[1])
    interpolation = cv2.INTER_AREA if shrink > 2 else cv2.INTER_LINEAR
    return cv2.resize(image_bgr, input_wh, interpolation=interpolation)


def images_to_blob(images_bgr: Sequence[np.ndarray], spec: ModelSpec) -> np.ndarray:
    """Pictures of any size, each (H, W, 3) uint8 BGR, to (N, 3, height, width) float32 as the spec says."""
    resized = [resize_to_input(image, spec.input_wh) for image in images_bgr]
    mean = spec.mean_bgr[::-1] if spec.rgb else spec.mean_bgr  # OpenCV swaps the channels before it subtracts
    return cv2.dnn.blobFromImages(resized, scalefactor=spec.scale, mean=mean, swapRB=spec.rgb)
