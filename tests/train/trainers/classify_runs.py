"""Runs of `classify` on images of one colour each: fixtures, and what tells two runs apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.colour_folder import CLASSES_BGR, write_colour_folder
from train.__main__ import main
from train.checkpoints.native import CLASSIFIER_FORMAT, load_checkpoint

ROOT = Path(__file__).parents[3]
LABELS = tuple(CLASSES_BGR)
BATCH = 5  # three steps an epoch for the twelve training images
OPTIONS = {"size": 32, "epochs": 2, "batch": BATCH, "warmup": 2, "save-steps": 1, "workers": 0}


@pytest.fixture(scope="session")
def colour_data(tmp_path_factory) -> Path:
    return write_colour_folder(tmp_path_factory.mktemp("colours"), {"train": 4, "val": 2})


def classify_words(folder: Path, out: Path, **changes: object) -> list[str]:
    values = {"data": folder, "out": out} | OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["classify", *(f"--{name}={value}" for name, value in values.items())]


def run_command(words: list[str]) -> int:
    """What `python -m train` does in this process; its exit code."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


def load(path: Path) -> dict:
    return load_checkpoint(path, (CLASSIFIER_FORMAT,))


@pytest.fixture(scope="session")
def classify_reference(colour_data: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("reference") / "run"
    assert run_command(classify_words(colour_data, out)) == 0
    return out


def assert_same_run(out: Path, reference: Path) -> None:
    """Weights, averages, momenta and history to the last bit; best.pt and results.csv too."""
    for name in ("last.pt", "best.pt"):
        a, b = load(out / name), load(reference / name)
        for key in ("model", "ema"):
            assert a[key].keys() == b[key].keys()
            assert [k for k in a[key] if not torch.equal(a[key][k], b[key][k])] == [], (name, key)
        for i, state in b["optimizer"]["state"].items():
            assert torch.equal(a["optimizer"]["state"][i]["momentum_buffer"], state["momentum_buffer"]), (name, i)
        for key in ("history", "epoch", "step", "ema_updates", "spec", "version", "sums"):
            assert a[key] == b[key], (name, key)
    assert (out / "results.csv").read_bytes() == (reference / "results.csv").read_bytes()
