from __future__ import annotations

import pytest

from train.engine import clock as module
from train.engine.clock import Clock


@pytest.fixture
def now(monkeypatch) -> list[float]:
    """The time in seconds, which a test sets."""
    times = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[0])
    return times


def test_time_counts_from_the_start_and_over_several_starts(now: list[float]):
    clock = Clock(2.0)
    now[0] = 150
    assert clock.seconds == clock.progress == 0
    clock.start()
    now[0] = 180
    assert (clock.seconds, clock.progress, clock.is_over) == (30, 0.25, False)

    again = Clock(2.0, seconds=clock.seconds)
    again.start()
    now[0] = 240
    assert (again.seconds, again.progress) == (90, 0.75)
    now[0] = 300
    assert (again.progress, again.is_over) == (1.0, True)
