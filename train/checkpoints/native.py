"""Checkpoints: all that a run needs to be resumed exactly, and all that an export needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.atomic_files import atomic_path

from ..common.errors import TrainError
from ..models import AnyNet, config_from_dict, config_to_dict
from ..models.squeezenet import SqueezeNet
from .exported import SUFFIXES, net_from_exported
from .finite import require_finite

FORMAT = "sqdet-checkpoint-1"
CLASSIFIER_FORMAT = "sqdet-classifier-checkpoint-1"


def save_checkpoint(path: str | Path, net: AnyNet, spec: ModelSpec, ema: dict, state: dict) -> None:
    """Writes {format, spec, net, anchors_per_cell, model, ema, **state} whole or not at all."""
    values = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "net": config_to_dict(net.config),
        "model": net.state_dict(),
        "ema": ema,
    }
    _write(path, values | state)


def save_plain(path: str | Path, net: AnyNet, spec: ModelSpec, trained: dict) -> None:
    """Writes a checkpoint of a net that is not being trained; `trained` is the config of the run it came from."""
    save_checkpoint(path, net, spec, net.state_dict(), {"config": trained})


def save_classifier(
    path: str | Path, net: SqueezeNet, version: str, spec: ClassifierSpec, ema: dict, state: dict
) -> None:
    """Writes {format, spec, version, model, ema, **state} whole or not at all."""
    values = {
        "format": CLASSIFIER_FORMAT,
        "spec": spec.to_json(),
        "version": version,
        "model": net.state_dict(),
        "ema": ema,
    }
    _write(path, values | state)


def _write(path: str | Path, values: dict) -> None:
    with atomic_path(path) as temporary:
        torch.save(values, temporary)


def load_checkpoint(path: str | Path, formats: Sequence[str] = (FORMAT,)) -> dict:
    """The dict that was saved in one of `formats`. Raises TrainError that names the file."""
    path = Path(path)
    if not path.is_file():
        raise TrainError(f"{path}: no such checkpoint")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors alike
        # Not its text, which advises to load the file unsafely.
        raise TrainError(f"{path}: not a checkpoint: {type(error).__name__} of PyTorch when reading it") from None
    if not isinstance(values, dict) or values.get("format") not in formats:
        raise TrainError(f"{path}: not a checkpoint of sqdet-cv ({' or '.join(formats)})")
    return values


def net_from_checkpoint(path: str | Path) -> tuple[AnyNet, ModelSpec]:
    """The net with its averaged (EMA) weights in evaluation mode, and its spec; also of an exported .onnx or .sqdet."""
    if Path(path).suffix.lower() in SUFFIXES:
        return net_from_exported(path)
    values = load_checkpoint(path)
    spec = ModelSpec.from_json(values["spec"])
    net = config_from_dict(values["net"]).build(spec.grids[0].anchors_per_cell, spec.num_classes)
    require_finite(path, values["ema"])
    net.load_state_dict(values["ema"])
    return net.eval(), spec


def is_classifier_checkpoint(path: str | Path) -> bool:
    """Whether the file is one that `save_classifier` wrote; False also for a missing or damaged file."""
    try:
        load_checkpoint(path, (CLASSIFIER_FORMAT,))
    except TrainError:
        return False
    return True


def classifier_from_checkpoint(path: str | Path) -> tuple[SqueezeNet, str, ClassifierSpec]:
    """What `python -m train classify` saved: the net with its averaged weights in evaluation mode, its version
    ("1.0" or "1.1") and its spec."""
    values = load_checkpoint(path, (CLASSIFIER_FORMAT,))
    spec = ClassifierSpec.from_json(values["spec"])
    require_finite(path, values["ema"])
    net = SqueezeNet(values["version"], spec.num_classes)
    require_finite(path, values["ema"])
    net.load_state_dict(values["ema"])
    return net.eval(), values["version"], spec
