"""Runs of `fit` on ten drawn images: fixtures, and what tells two runs apart."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers import write_devkit
from train.__main__ import main
from train.checkpoints.native import load_checkpoint
from train.trainers.detection import DetectionTrainer

ROOT = Path(__file__).parents[3]
PHOTOS, BATCH = 10, 4  # three steps an epoch
OPTIONS = {
    "sizes": "96:1,64:1",
    "shapes": 3,
    "batch": BATCH,
    "warmup": 2,
    "balance": 0,
    "save-steps": 1,
    "workers": 0,
    "watch": 0,
}


@pytest.fixture(scope="session")
def fit_devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": PHOTOS, "val": 3})


def fit_words(devkit: Path, out: Path, **changes: object) -> list[str]:
    values = {"data": devkit, "out": out} | OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["fit", *(f"--{name}={value}" for name, value in values.items())]


def run_command(words: list[str]) -> int:
    """What `python -m train` does in this process; its exit code."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="session")
def fit_reference(fit_devkit: Path, tmp_path_factory):
    """The folder of a run that nothing stopped, by net: "squeezedet" draws dropout, "sqdet" has BatchNorm."""
    made: dict[str, Path] = {}

    def get(net: str) -> Path:
        if net not in made:
            made[net] = tmp_path_factory.mktemp("reference") / net
            assert run_command(fit_words(fit_devkit, made[net], net=net)) == 0
        return made[net]

    return get


def interrupted(step):
    """A training step in which Ctrl-C is pressed."""

    def interrupted_step(self: DetectionTrainer, *args: object) -> dict:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    return interrupted_step


def assert_same_run(out: Path, reference: Path) -> None:
    """Weights, averages, momenta and history to the last bit; best.pt and results.csv too."""
    for name in ("last.pt", "best.pt"):
        a, b = load_checkpoint(out / name), load_checkpoint(reference / name)
        for key in ("model", "ema"):
            assert a[key].keys() == b[key].keys()
            assert [k for k in a[key] if not torch.equal(a[key][k], b[key][k])] == [], (name, key)
        for i, state in b["optimizer"]["state"].items():
            for kind, value in state.items():
                assert torch.equal(a["optimizer"]["state"][i][kind], value), (name, i, kind)
        for key in ("history", "epoch", "step", "ema_updates", "spec", "net", "sums"):
            assert a[key] == b[key], (name, key)
    assert (out / "results.csv").read_bytes() == (reference / "results.csv").read_bytes()
