"""Times of several things that take turns in one process, so that a slow moment of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

WARM_UP = 10


@dataclass(frozen=True)
class Turns:
    """Medians over the rounds: milliseconds, and the ratio to the first one's in the same round. `cpu_` is CPU time of
    all threads, which other programs disturb less than the clock."""

    ms: float
    ratio: float
    cpu_ms: float
    cpu_ratio: float


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Turns]:
    """Calls each once a round, after some rounds that do not count. Each round begins with another one."""
    names = list(runs)
    clock, cpu = ({name: np.zeros(rounds) for name in names} for _ in range(2))
    for i in range(-WARM_UP, rounds):
        for k in range(len(names)):
            name = names[(i + k) % len(names)]
            start = time.perf_counter(), time.process_time()
            runs[name]()
            if i >= 0:
                clock[name][i] = 1000 * (time.perf_counter() - start[0])
                cpu[name][i] = 1000 * (time.process_time() - start[1])

    def ratio(times: dict[str, np.ndarray], name: str) -> float:
        return float(np.median(times[name] / times[names[0]]))

    return {
        name: Turns(float(np.median(clock[name])), ratio(clock, name), float(np.median(cpu[name])), ratio(cpu, name))
        for name in names
    }
