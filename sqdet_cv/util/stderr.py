"""Keeps C libraries from writing to stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Descriptors:
    """Who may redirect the process's descriptors 1 and 2: many threads that mute stderr, or one that captures both.

    Redirecting in one thread what another has redirected, and putting it back in the other order, would leave stderr
    silent for good.
    """

    def __init__(self) -> None:
        self.saved: int | None = None  # the real stderr, while it is muted
        self.start_again()

    def start_again(self) -> None:
        """Nobody redirects: at the start, and in a forked child, which has none of the threads that were in a block."""
        self.restore()
        self.changed = threading.Condition()
        self.muted = 0  # threads that do
        self.captured = False

    def mute(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: not self.captured)
            if not self.muted:
                self._silence()
            self.muted += 1

    def unmute(self) -> None:
        with self.changed:
            self.muted = max(self.muted - 1, 0)  # 0 before: in a child forked within the block
            if not self.muted:
                self.restore()
            self.changed.notify_all()

    def _silence(self) -> None:
        try:
            self.saved = os.dup(2)
        except OSError:  # a process without stderr (pythonw.exe, a daemon): nothing can be printed there
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def restore(self) -> None:
        if self.saved is not None:
            os.dup2(self.saved, 2)
            os.close(self.saved)
            self.saved = None


_descriptors = _Descriptors()


@contextmanager
def muted_stderr() -> Iterator[None]:
    """Discards what the process writes to file descriptor 2 within the block; Python exceptions are not touched.

    OpenCV's log level does not reach FFmpeg, libjpeg, libpng and V4L2, which print from C; the descriptor does. It
    belongs to the whole process, so keep the block short: other threads are muted as well.
    """
    _descriptors.mute()
    try:
        yield
    finally:
        _descriptors.unmute()


@contextmanager
def own_descriptors() -> Iterator[None]:
    """No other thread redirects descriptors 1 and 2 within the block, which may. Not within `muted_stderr`."""
    with _descriptors.changed:
        _descriptors.changed.wait_for(lambda: not (_descriptors.captured or _descriptors.muted))
        _descriptors.captured = True
    try:
        yield
    finally:
        with _descriptors.changed:
            _descriptors.captured = False
            _descriptors.changed.notify_all()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_descriptors.start_again)
