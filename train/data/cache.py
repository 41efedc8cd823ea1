"""Images read from their files, or decoded once and kept in memory that all loader processes share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from tqdm import tqdm

from ..common.errors import TrainError

PLACES = ("ram", "disk")
HELP = "decode the images once and keep them: ram, or disk (a temporary file); about 0.4 MB an image at 256 px"
# Of a kept image's longest side, in input sides: an augmented view shows 45 % of the image's width or more, so one
# twice as large as the input holds nearly all that a view can show.
LARGER = 2
CHUNK = 256  # images decoded before they are stored


def read_image(path: object) -> np.ndarray:
    """(H, W, 3) uint8 BGR. Raises TrainError that names the file."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise TrainError(f"{path}: missing or not an image that OpenCV can read")
    return image


class ImageCache:
    """Decoded images, (H, W, 3) uint8 BGR each, shrunk to `longest_side` where they are larger. Loader processes that
    are forked afterwards read them without a copy of their own.

    Args:
        place: "ram", or "disk": a file without a name in the folder for temporary files, which the system keeps in
            memory as far as there is room.

    Raises:
        TrainError: an image cannot be read, or the disk is full.
    """

    def __init__(self, paths: Sequence[Path], longest_side: int, place: str = "ram") -> None:
        self.images: list[np.ndarray] = []
        self.factors_wh: list[np.ndarray] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryFile() as file:
            for begin in tqdm(range(0, len(paths), CHUNK), unit=f"x {CHUNK} images", desc="decode", delay=1):
                for image, factor_wh in pool.map(
                    lambda path: _decode(path, longest_side), paths[begin : begin + CHUNK]
                ):
                    kept = _on_disk(image, file, len(paths)) if place == "disk" else image
                    kept.flags.writeable = False  # an augmentation in place would change all later views
                    self.images.append(kept)
                    self.factors_wh.append(np.float32(factor_wh))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The image, and (2,) float32: its width and height as shares of those in the file."""
        return self.images[index], self.factors_wh[index]


def _on_disk(image: np.ndarray, file: IO[bytes], count: int) -> np.ndarray:
    try:
        start = file.seek(0, os.SEEK_END)
        file.write(image.data)
        file.flush()
    except OSError as error:
        raise TrainError(
            f"--cache disk: no room for {count} images in {tempfile.gettempdir()}: {error.strerror}"
        ) from None
    return np.memmap(file, np.uint8, "r+", start, image.shape)


def _decode(path: Path, longest_side: int) -> tuple[np.ndarray, tuple[float, float]]:
    image = read_image(path)
    height, width = image.shape[:2]
    scale = longest_side / max(width, height)
    if scale >= 1:
        return image, (1.0, 1.0)
    small_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)
    return small, (small_wh[0] / width, small_wh[1] / height)
