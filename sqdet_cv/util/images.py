"""The check with which every function that takes an image begins."""

from __future__ import annotations

import numpy as np

from ..errors import SqdetError


def check_image(image: object) -> None:
    """Raises SqdetError unless it is an (H, W, 3) uint8 array of at least one pixel."""
    if not isinstance(image, np.ndarray):
        hint = " (cv2.imread gives None for a file it cannot read)" if image is None else ""
        raise SqdetError(f"the image is {type(image).__name__}{hint}, expected an (H, W, 3) uint8 array")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise SqdetError(f"the image is {image.shape} {image.dtype}, expected (H, W, 3) uint8, B, G, R")
