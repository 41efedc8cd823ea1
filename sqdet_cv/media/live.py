"""The newest frame of a camera or stream, however long the one before it takes to work on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

POLL_SECONDS = 0.2  # between two looks at whether to stop


class Stalled(Exception):
    """A camera or stream that is still there gave no frame for long."""


class LiveReader:
    """Reads a capture in a thread of its own, so that no frame waits in a queue until it is old.

    It owns the capture: where a camera or stream hangs in a read, the thread releases it once that returns, and nobody
    waits for it.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: np.ndarray | None = None
        self._unread = 0  # frames since the last that was taken
        self._ended = self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while not self._closed:
                ok, image = self._capture.read()
                with self._changed:
                    if not ok:
                        break
                    self._newest = image
                    self._unread += 1
                    self._changed.notify()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()
            self._capture.release()

    def take(self, patience: float, stop: Callable[[], bool]) -> tuple[np.ndarray, int] | None:
        """The newest frame that was not taken yet, and how many came since the one before it and are passed over.

        Args:
            patience: seconds to wait for one.
            stop: asked while waiting.

        Returns:
            None: the stream has ended, or `stop` said so.

        Raises:
            Stalled: none came in that time.
        """
        end = time.monotonic() + patience
        with self._changed:
            while not self._unread:
                if self._ended or stop():
                    return None
                if time.monotonic() > end:
                    raise Stalled
                self._changed.wait(POLL_SECONDS)
            image, passed_over = self._newest, self._unread - 1
            self._unread = 0
        assert image is not None  # one was counted
        return image, passed_over

    def close(self) -> None:
        """Lets the thread end and release the capture, after the read that it is in."""
        self._closed = True
