"""A run of `python -m train compress` small enough for seconds: its images, its checkpoint and its command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from tests.helpers import write_devkit
from train.__main__ import main
from train.checkpoints.native import save_checkpoint
from train.models import SqueezeDet
from train.trainers.detection_config import FitConfig

from .tiny import CONFIG

OPTIONS = {"sparsity": 0.7, "bits": 3, "bias-bits": 2, "epochs": 2, "centroid-part": 0.5, "every": 1, "size": 64}
OPTIONS |= {"batch": 4, "warmup": 1, "workers": 0, "save-steps": 1}
PHOTOS, STEPS = 10, 3  # steps an epoch; one epoch of each stage
SHAPES = ((20.0, 30.0), (48.0, 24.0))


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": PHOTOS, "val": 2})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    net = SqueezeDet(CONFIG, len(SHAPES), len(VOC_LABELS)).eval()
    spec = ModelSpec.single(VOC_LABELS, (64, 64), net.grid_hw((64, 64)), SHAPES)
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    state = {"config": dataclasses.asdict(FitConfig(balance=0.0))}
    save_checkpoint(path, net, spec, net.state_dict(), state)
    return path


def words(checkpoint: Path, devkit: Path, out: Path, **changes: object) -> list[str]:
    values = {"data": devkit, "out": out} | OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["compress", str(checkpoint), *(f"--{name}={value}" for name, value in values.items())]


def run(command: list[str]) -> int:
    try:
        return main(command)
    except SystemExit as stop:
        return stop.code
