from __future__ import annotations

import time

import pytest

from benchmarks.lib.turns import WARM_UP, take_turns


def test_ratios_are_to_the_first_and_all_run_equally_often():
    calls = {"quick": 0, "slow": 0}

    def sleep(name: str, seconds: float) -> None:
        calls[name] += 1
        time.sleep(seconds)

    found = take_turns({"quick": lambda: sleep("quick", 0.005), "slow": lambda: sleep("slow", 0.02)}, 9)
    assert calls == dict.fromkeys(calls, WARM_UP + 9)
    assert found["quick"].ratio == found["quick"].cpu_ratio == 1
    assert found["slow"].ratio == pytest.approx(4, rel=0.5)
    assert 20 <= found["slow"].ms < 60
    assert found["slow"].cpu_ms < 10, "sleep takes no CPU time"
