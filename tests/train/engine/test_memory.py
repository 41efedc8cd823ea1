import platform
import subprocess
import sys

import pytest

from train.engine.memory import keep_freed_memory

# Prints how many pages were touched for the first time while 20 arrays of 48 MiB came and went, one after the other.
CHURN = """
import resource, sys
import torch
from train.engine.memory import keep_freed_memory

def churn(times):
    for _ in range(times):
        torch.ones(12 << 20)

if sys.argv[1] == "keep":
    assert keep_freed_memory()
churn(10)  # the first ones fill what was fetched ahead
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn(20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ARRAY_PAGES = (48 << 20) // 4096


def first_touches(how: str) -> int:
    command = [sys.executable, "-c", CHURN, how]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_arrays_that_come_and_go_reuse_their_pages():
    given_back, kept = first_touches("give back"), first_touches("keep")
    assert kept < 2 * ARRAY_PAGES  # of 20 arrays
    assert kept < given_back / 5


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("train.engine.memory.ctypes.CDLL", lambda name: pytest.fail("looked for a libc"))
    assert not keep_freed_memory()
