"""How far a run is that lasts as long as it is told, instead of a number of epochs."""

from __future__ import annotations

import time


class Clock:
    """Counts the time in which the run trains and validates, also over several starts.

    Args:
        minutes: of the whole run.
        seconds: that earlier starts of it took.
    """

    def __init__(self, minutes: float, seconds: float = 0.0) -> None:
        self.total_seconds, self.earlier_seconds = 60 * minutes, seconds
        self._started: float | None = None

    def start(self) -> None:
        """From here on time counts."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """That the run took so far."""
        return self.earlier_seconds + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def progress(self) -> float:
        """The share of its time that has passed, in [0, 1]."""
        return min(self.seconds / self.total_seconds, 1.0)

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return self.progress >= 1
