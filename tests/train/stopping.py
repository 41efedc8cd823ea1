"""Training runs that are stopped: by a signal to their processes, or by Ctrl-C in a given step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from train.engine.trainer import Trainer

ROOT = Path(__file__).parents[2]
each_signal = pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        pytest.param(signal.SIGKILL, -signal.SIGKILL, "", id="killed"),
        pytest.param(signal.SIGINT, 130, "go on with --resume", id="Ctrl-C"),
    ],
)


def stopped_process(words: list[str], out: Path, sent: int) -> tuple[int, str, str]:
    """`python -m train` with these words, sent a signal once it has written OUT/last.pt: exit code, stdout, stderr.

    The signal goes to all processes of the run, as a terminal's does.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as in this process: sums in another order differ in the last bit
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (out / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(process.pid, sent)
        printed, errors = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, printed, errors


def stop_in_step(monkeypatch: pytest.MonkeyPatch, trainer: type[Trainer], number: int) -> list[int]:
    """Presses Ctrl-C in the training step of that number. The list grows by an item with each step that is done."""
    done: list[int] = []
    step = trainer._train_step

    def stopping_step(self: Trainer, *args: object) -> dict[str, float]:
        done.append(1)
        if len(done) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    monkeypatch.setattr(trainer, "_train_step", stopping_step)
    return done
