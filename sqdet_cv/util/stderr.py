"""Keeps C libraries from writing to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Discards what the process writes to file descriptor 2 within the block; Python exceptions are not touched.

    OpenCV's log level does not reach FFmpeg, libjpeg, libpng and V4L2, which print from C; the descriptor does. It
    belongs to the whole process, so keep the block short: other threads are muted as well.
    """
    try:
        saved = os.dup(2)
    except OSError:  # a process without stderr (pythonw.exe, a daemon): nothing can be printed there
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
