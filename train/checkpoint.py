"""Checkpoints: everything a run needs to go on exactly, and what an export needs to stand alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from sqdet_cv.files import atomic_path
from sqdet_cv.spec import ModelSpec

from .errors import TrainError
from .models.squeezedet import NetConfig, SqueezeDet

FORMAT = "sqdet-checkpoint-1"


def save_checkpoint(path: str | Path, net: SqueezeDet, spec: ModelSpec, ema: dict, state: dict) -> None:
    """Writes {format, spec, net, num_shapes, model, ema, **state} at once or not at all."""
    values = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "net": dataclasses.asdict(net.config),
        "model": net.state_dict(),
        "ema": ema,
    }
    with atomic_path(path) as temporary:
        torch.save(values | state, temporary)


def load_checkpoint(path: str | Path) -> dict:
    """The dict that was saved. Raises TrainError that names the file."""
    path = Path(path)
    if not path.is_file():
        raise TrainError(f"{path}: no such checkpoint")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors alike
        raise TrainError(f"{path}: not a checkpoint: {(str(error) or repr(error)).splitlines()[0]}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise TrainError(f"{path}: not a checkpoint of sqdet-cv ({FORMAT})")
    return values


def net_from_checkpoint(path: str | Path) -> tuple[SqueezeDet, ModelSpec]:
    """The net with its averaged (EMA) weights in evaluation mode, and its spec."""
    values = load_checkpoint(path)
    spec = ModelSpec.from_json(values["spec"])
    net = SqueezeDet(NetConfig(**values["net"]), spec.num_shapes, spec.num_classes)
    net.load_state_dict(values["ema"])
    return net.eval(), spec
