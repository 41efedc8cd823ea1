"""OpenCV's own log lines out of the way, where we say the same in one clear line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import cv2

from .fork_safe_lock import ForkSafeLock

SILENT, INFO = 0, 4  # cv2.utils.logging.LOG_LEVEL_..., which 4.10 does not have
# 4.10 has the pair in cv2 itself, later versions in cv2.utils.logging
_log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
_lock = ForkSafeLock()
_wanted: list[int] = []  # by the blocks that threads are in
_before = 0  # the level outside of all of them


@contextmanager
def log_level(level: int) -> Iterator[None]:
    """OpenCV logs at this level within the block, or at the highest that a block of another thread asks for, since the
    level belongs to the process. It is put back after the last of them."""
    global _before
    with _lock:
        if not _wanted:
            _before = _log.getLogLevel()
        _wanted.append(level)
        _log.setLogLevel(max(_wanted))
    try:
        yield
    finally:
        with _lock:
            if level in _wanted:  # not so in a child forked within the block
                _wanted.remove(level)
                _log.setLogLevel(max(_wanted, default=_before))


def quiet_opencv() -> AbstractContextManager[None]:
    """OpenCV logs nothing within the block."""
    return log_level(SILENT)


def _start_again() -> None:
    """In a forked child, which has none of the threads that were in a block."""
    if _wanted:
        _wanted.clear()
        _log.setLogLevel(_before)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_again)
