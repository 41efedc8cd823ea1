"""Two real processes, joined by gloo, against one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.checkpoints.native import load_checkpoint
from train.common.distributed import rank_slice
from train.losses import LOSSES

from ..trainers.classify_runs import classify_words, load
from ..trainers.fit_runs import PHOTOS, ROOT, assert_same_run, fit_words, run_command


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_the_shares_of_a_step_make_the_step(items: int, batch: int, count: int, first_step: int):
    order = list(range(items))
    shares = [rank_slice(order, batch, first_step, rank, count) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    steps = [sum((share[i : i + batch] for share in shares), []) for i in range(0, len(shares[0]), batch)]
    done = first_step * batch * count
    joined = sum(steps, [])
    assert joined[: max(items - done, 0)] == order[done:]
    assert len(joined) - max(items - done, 0) < count, "no more is repeated than needed"


def start_two(words: list[str], program: tuple[str, ...] = ("-m", "train")) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*command, *program, *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_two(words: list[str], program: tuple[str, ...] = ("-m", "train")) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start_two(words, program)
    printed, errors = process.communicate(timeout=400)
    return process.returncode, printed, errors


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_two_processes_end_with_the_weights_of_one_with_the_doubled_batch(fit_devkit: Path, tmp_path: Path, loss: str):
    """The net has no BatchNorm, and no dropout is drawn. The last step of an epoch has two images."""
    assert PHOTOS % 8 == 2
    settings = {"net": "squeezedet", "dropout": 0, "loss": loss, "lr": 0.002, "sizes": "64:2"}
    assert run_command(fit_words(fit_devkit, tmp_path / "one", batch=8, **settings)) == 0
    code, printed, errors = run_two(fit_words(fit_devkit, tmp_path / "two", batch=4, **settings))
    assert code == 0, errors
    one, two = (load_checkpoint(tmp_path / name / "last.pt") for name in ("one", "two"))
    for key in ("model", "ema"):
        for name, value in one[key].items():
            torch.testing.assert_close(two[key][name], value, rtol=0, atol=1e-5, msg=f"{key} {name}")
    for a, b in zip(one["history"], two["history"]):
        assert b == pytest.approx(a, abs=1e-3)
    moved = max(
        float((one["model"][name] - value).abs().max()) for name, value in load_start(fit_devkit, tmp_path, settings)
    )
    assert moved > 1e-3, "training moved the weights much more than the two runs differ"


def load_start(devkit: Path, tmp_path: Path, settings: dict) -> list[tuple[str, torch.Tensor]]:
    """The weights that both runs began with."""
    assert (
        run_command(fit_words(devkit, tmp_path / "start", batch=8, **(settings | {"lr": 1e-12, "sizes": "64:1"}))) == 0
    )
    return list(load_checkpoint(tmp_path / "start" / "last.pt")["model"].items())


@pytest.mark.slow
def test_two_processes_print_once_and_resume_bit_for_bit(fit_devkit: Path, tmp_path: Path):
    """With dropout, which each draws for itself; stopped by Ctrl-C in mid-run."""
    settings = {"net": "squeezedet", "batch": 2, "sizes": "64:6", "save_steps": 1}
    code, printed, errors = run_two(fit_words(fit_devkit, tmp_path / "whole", **settings))
    assert code == 0, errors
    assert printed.count("epoch 1: val mAP") == 1
    saved = load_checkpoint(tmp_path / "whole" / "last.pt")
    assert len(saved["rng"]) == 2 and not torch.equal(*saved["rng"])

    out = tmp_path / "run"
    process = start_two(fit_words(fit_devkit, out, **settings))
    deadline = time.monotonic() + 300
    while not (out / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=300)
    assert printed.count("go on with --resume") == 1
    assert load_checkpoint(out / "last.pt")["epoch"] < 6
    assert run_command(["fit", "--resume", str(out)]) == 2, "alone it cannot go on as two did"
    code, _, errors = run_two(["fit", "--resume", str(out)])
    assert code == 0, errors
    assert_same_run(out, tmp_path / "whole")


THREADS = """
import sys
from pathlib import Path
from train.__main__ import main

def gloo_threads():
    return [name for path in Path("/proc/self/task").glob("*/comm") if "gloo" in (name := path.read_text())]

code = main(sys.argv[1:])
print(code, "with", len(gloo_threads()), "threads of gloo")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the names of threads are Linux's")
def test_no_thread_of_the_joined_processes_outlives_the_command(fit_devkit: Path, tmp_path: Path):
    """One that does can abort the process while Python ends: "terminate called without an active exception"."""
    program = tmp_path / "threads.py"
    program.write_text(THREADS)
    code, printed, errors = run_two(fit_words(fit_devkit, tmp_path / "run", sizes="64:1"), (str(program),))
    assert code == 0, errors
    assert printed.count("0 with 0 threads of gloo") == 2, printed


@pytest.mark.slow
def test_two_processes_stop_together_on_a_bad_loss(fit_devkit: Path, tmp_path: Path):
    code, _, errors = run_two(fit_words(fit_devkit, tmp_path / "run", lr=1e30, warmup=0, batch=2, save_steps=100))
    assert code != 0
    assert "is not finite" in errors
    assert (tmp_path / "run" / "bad_batch.pt").is_file()
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.slow
def test_a_classifier_too(colour_data: Path, tmp_path: Path):
    settings = {"dropout": 0, "epochs": 2}
    assert run_command(classify_words(colour_data, tmp_path / "one", batch=6, **settings)) == 0
    code, printed, errors = run_two(classify_words(colour_data, tmp_path / "two", batch=3, **settings))
    assert code == 0, errors
    one, two = (load(tmp_path / name / "last.pt")["model"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5, msg=name)
