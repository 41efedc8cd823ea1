"""OpenCV's own log lines out of the way, where we say the same in one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV logs nothing within the block; the level is put back after it."""
    # 4.10 has the pair in cv2 itself, later versions in cv2.utils.logging
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(before)
