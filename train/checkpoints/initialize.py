"""`--init`: weights from an ImageNet archive, a checkpoint or an exported model, into a net of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..common.errors import TrainError
from ..models.fuse import IDENTITY_VARIANCE, fused_arrays, unfuse
from ..models.squeezedet_fpn import SqueezeDetFpn
from ..models.squeezenet import SqueezeNet, SqueezeNetFeatures
from .exported import read_arrays, read_exported
from .finite import require_finite
from .native import CLASSIFIER_FORMAT, FORMAT, load_checkpoint, net_from_checkpoint

NAMED = 7  # new layers that the line names: a net on four grids from ImageNet weights has 44
# parts of a Fire in the archives' (Caffe) names
_PARTS = {"squeeze": "squeeze1x1", "expand_1x1": "expand1x1", "expand_3x3": "expand3x3"}


class Initialized(NamedTuple):
    """What `initialise` did.

    Attributes:
        line: for the user: how many layers were filled, and which were not.
        needs_recalibration: whether some BatchNorms only add a bias, and so need `recalibrate_batchnorm`
            before training.
    """

    line: str
    needs_recalibration: bool


def initialise(net: nn.Module, path: str | Path, labels: Sequence[str] = ()) -> Initialized:
    """Copies into `net` every array of the file that fits by name and shape.

    Args:
        labels: the classes of a detector. The last layers of a net on four grids, whose anchors are the same in each
            such net, then also take what a file with other classes says of boxes, of confidence and of the classes
            with the same names: it finds objects before it is trained.

    Raises:
        TrainError: the file is missing, of no known kind, or nothing in it fits.
    """
    path = Path(path)
    if not path.is_file():
        raise TrainError(
            f"{path}: no such file; --init takes an ImageNet archive (.npz), a checkpoint (.pt) or a model "
            "(.onnx, .sqdet)"
        )
    readers = {".npz": _from_archive, ".pt": _from_checkpoint, ".onnx": _from_onnx, ".sqdet": _from_onnx}
    if path.suffix.lower() not in readers:
        raise TrainError(f"{path}: --init takes {', '.join(readers)}")
    own = net.state_dict()
    found = readers[path.suffix.lower()](path, own)
    if isinstance(net, SqueezeDetFpn) and labels:
        found |= _last_layers(net, found, labels, path)
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise TrainError(f"{path}: none of its {len(found)} arrays fits this net")
    require_finite(path, fitting)
    net.load_state_dict(fitting, strict=False)
    weights = [name for name in own if name.endswith(".weight")]
    fresh = [name for name in weights if name not in fitting]
    more = f" and {len(fresh) - NAMED} more" if len(fresh) > NAMED else ""
    new = ", ".join(fresh[:NAMED]) + more if fresh else "none"
    line = f"{path.name}: {len(weights) - len(fresh)} of {len(weights)} layers; new: {new}"
    identity = any(
        name.endswith(".running_var") and (value == IDENTITY_VARIANCE).all() for name, value in fitting.items()
    )
    return Initialized(line, identity)


def _last_layers(
    net: SqueezeDetFpn, found: Mapping[str, torch.Tensor], labels: Sequence[str], path: Path
) -> dict[str, torch.Tensor]:
    """The arrays of each ConvDet, (C + 1 + 4, ...); rows of classes that the file does not know are as they were."""
    own, taken = net.state_dict(), {}
    names = [name for name in own if ".convdet." in name and name in found]
    known = net_from_checkpoint(path)[1].labels if names else ()
    rows = [known.index(label) if label in known else None for label in labels]
    for name in names:
        if found[name].shape[1:] != own[name].shape[1:]:
            continue
        value = own[name].clone()
        value[len(labels) :] = found[name][len(known) :]
        for row, source in enumerate(rows):
            if source is not None:
                value[row] = found[name][source]
        taken[name] = value
    return taken


def load_imagenet_archive(model: SqueezeNet | SqueezeNetFeatures, path: str | Path) -> None:
    """Every weight of a SqueezeNet from a NumPy archive with Caffe names. Raises TrainError unless all are there."""
    own = model.state_dict()
    found = _from_archive(Path(path), own)
    for name, value in own.items():
        if name not in found or found[name].shape != value.shape:
            raise TrainError(f"{path}: no array of shape {tuple(value.shape)} for {name}")
    model.load_state_dict({name: found[name] for name in own})


def _from_archive(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    arrays = {}
    try:
        with np.load(path) as archive:
            for name in own:
                layer = name.rpartition(".")[0].removesuffix(".0")
                for kind in ("weight", "bias"):
                    key = _archive_key(layer, kind)
                    if key in archive:
                        arrays[f"{layer}.{kind}"] = torch.from_numpy(archive[key].astype(np.float32))
    except Exception as error:  # NumPy raises zip, pickle, end-of-file and type errors alike
        raise TrainError(f"{path}: not a NumPy archive: {error}") from None
    return unfuse(arrays, own)


def _archive_key(layer: str, kind: str) -> str:
    """features.fire2.squeeze, weight -> fire2/squeeze1x1/weights"""
    parts = layer.removeprefix("features.").split(".")
    return "/".join([*(_PARTS.get(part, part) for part in parts), "weights" if kind == "weight" else kind])


def _from_checkpoint(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The averaged weights; by way of the fused net where the two nets have BatchNorm in different layers."""
    saved = load_checkpoint(path, (FORMAT, CLASSIFIER_FORMAT))
    state = saved["ema"]
    if _norms(own, state) == _norms(state, own):
        return state
    if saved["format"] == FORMAT:
        return unfuse(fused_arrays(net_from_checkpoint(path)[0]), own)
    return unfuse({name.replace(".0.", "."): value for name, value in state.items()}, own)


def _norms(state: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> set[str]:
    """The layers with BatchNorm, among those that both nets have."""
    names = {name.removesuffix(".1.running_var") for name in state if name.endswith(".1.running_var")}
    return {name for name in names if f"{name}.0.weight" in other}


def _from_onnx(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return unfuse(read_arrays(read_exported(path)[0]), own)
