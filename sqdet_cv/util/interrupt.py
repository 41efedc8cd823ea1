"""Ctrl-C as a request instead of an exception."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class CtrlC:
    """Within its block Ctrl-C only sets `pressed`, so that a loop can end between two frames and close its files.

    Args:
        second_raises: whether the second Ctrl-C raises KeyboardInterrupt, for a loop that does not come to its end.
            False where a step must be done whole or not at all, or where one key press can arrive twice: torchrun
            passes it on to processes that have had it from the terminal.

    >>> with CtrlC() as ctrl_c:
    ...     ctrl_c.pressed
    False
    """

    def __init__(self, second_raises: bool = True) -> None:
        self.pressed = False
        self._second_raises = second_raises

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
        if self.pressed and self._second_raises:
            raise KeyboardInterrupt
        self.pressed = True
