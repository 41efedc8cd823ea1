"""Ctrl-C and SIGTERM as a request instead of an end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class CtrlC:
    """Within its block Ctrl-C only sets `pressed`, so that a loop can end between two frames and close its files; so
    does SIGTERM, by which docker, systemd and a cluster's time limit end a program. One that the process was started
    to ignore stays ignored.

    Args:
        second_raises: whether the second Ctrl-C raises KeyboardInterrupt (the second SIGTERM SystemExit), for a loop
            that does not come to its end. False where a step must be done whole or not at all, or where one key press
            can arrive twice: torchrun passes it on to processes that have had it from the terminal.

    Attributes:
        pressed: whether one of them came.
        exit_code: of a program that it ends: 130 for Ctrl-C, 143 for SIGTERM.

    >>> with CtrlC() as ctrl_c:
    ...     ctrl_c.pressed
    False
    """

    def __init__(self, second_raises: bool = True) -> None:
        self.pressed = False
        self.exit_code = 130
        self._second_raises = second_raises
        self._before: dict[int, Any] = {}

    def __enter__(self) -> CtrlC:
        # Python allows signal handlers in the main thread only; elsewhere Ctrl-C never arrives anyway.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pressed and self._second_raises:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        self.pressed, self.exit_code = True, 128 + number
