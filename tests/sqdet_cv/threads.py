"""Many threads at the same work, and forked children."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int = 8) -> list[Result]:
    """`work` of every item, in their order; all threads are busy at the same time."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def in_forked_child(work: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether `work` is true in a forked child, and comes to its end."""
    child = os.fork()
    if not child:
        os._exit(0 if work() else 1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False
