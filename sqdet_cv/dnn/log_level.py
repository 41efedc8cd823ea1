"""OpenCV's own log lines out of the way, where we say the same in one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import cv2

SILENT, INFO = 0, 4  # cv2.utils.logging.LOG_LEVEL_..., which 4.10 does not have


@contextmanager
def log_level(level: int) -> Iterator[None]:
    """OpenCV logs at this level within the block; the level is put back after it."""
    # 4.10 has the pair in cv2 itself, later versions in cv2.utils.logging
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(level)
    try:
        yield
    finally:
        log.setLogLevel(before)


def quiet_opencv() -> AbstractContextManager[None]:
    """OpenCV logs nothing within the block."""
    return log_level(SILENT)
