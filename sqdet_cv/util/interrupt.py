"""Ctrl-C as a request instead of an exception."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class CtrlC:
    """Within its block the first Ctrl-C only sets `pressed`, so that a loop can end between two frames and its files
    be closed properly; the second raises KeyboardInterrupt as usual.

    >>> with CtrlC() as ctrl_c:
    ...     ctrl_c.pressed
    False
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> CtrlC:
        # Python allows signal handlers in the main thread only; elsewhere Ctrl-C never arrives anyway.
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
