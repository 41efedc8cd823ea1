"""What OpenCV logs within a block, as text: it has no other way to say some things."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..util.log_level import INFO, log_level
from ..util.stderr import own_descriptors


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Gives a list that holds, after the block, the lines OpenCV logged within it at level INFO and above.

    OpenCV's logger cannot be redirected from Python: it writes to file descriptors 1 and 2, so the block gets both.
    They belong to the whole process, so keep it short: what other threads print within it is taken as well.
    """
    with own_descriptors(), _captured() as lines:
        yield lines


@contextmanager
def _captured() -> Iterator[list[str]]:
    lines: list[str] = []
    try:
        saved = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    except OSError:  # a process without stdout (pythonw.exe, a daemon): OpenCV's lines go nowhere
        yield lines
        return
    with tempfile.TemporaryFile() as file, log_level(INFO):
        _flush()
        try:
            for descriptor in saved:
                os.dup2(file.fileno(), descriptor)
            yield lines
        finally:
            _flush()
            for descriptor, original in saved.items():
                os.dup2(original, descriptor)
                os.close(original)
        file.seek(0)
        lines.extend(file.read().decode(errors="replace").splitlines())


def _flush() -> None:
    """Empties Python's and C's buffers: a line must not come out after its descriptor was changed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).fflush(None)
