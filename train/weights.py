"""`--init`: weights from an ImageNet archive, a checkpoint or a released model, into a net of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from sqdet_cv.errors import ModelFileError
from sqdet_cv.packed import SUFFIX, unpack

from .checkpoint import CLASSIFIER_FORMAT, FORMAT, load_checkpoint
from .errors import TrainError
from .models.squeezenet import SqueezeNet, SqueezeNetFeatures

# parts of a Fire in the archives' (Caffe) names
_PARTS = {"squeeze": "squeeze1x1", "expand_1x1": "expand1x1", "expand_3x3": "expand3x3"}


def initialise(net: nn.Module, path: str | Path) -> str:
    """Copies what fits into `net` and says in one line what came and what stayed.

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
    if path.suffix not in readers:
        raise TrainError(f"{path}: --init takes {', '.join(readers)}")
    own = net.state_dict()
    found = readers[path.suffix](path, own)
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise TrainError(f"{path}: none of its {len(found)} arrays fits this net")
    net.load_state_dict(fitting, strict=False)
    weights = [name for name in own if name.endswith(".weight")]
    fresh = [name for name in weights if name not in fitting]
    return f"{path.name}: {len(weights) - len(fresh)} of {len(weights)} layers; new: {', '.join(fresh) or 'none'}"


def load_imagenet_archive(model: SqueezeNet | SqueezeNetFeatures, path: str | Path) -> None:
    """Every weight of a SqueezeNet from a NumPy archive with Caffe names. Raises TrainError unless all are there."""
    own = model.state_dict()
    found = _from_archive(Path(path), own)
    for name, value in own.items():
        if name not in found or found[name].shape != value.shape:
            raise TrainError(f"{path}: no array of shape {tuple(value.shape)} for {name}")
    model.load_state_dict({name: found[name] for name in own})


def _from_archive(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    try:
        with np.load(path) as archive:
            for name in own:
                key = _archive_key(name)
                if key in archive:
                    found[name] = torch.from_numpy(archive[key].astype(np.float32))
    except Exception as error:  # NumPy raises zip, pickle, end-of-file and type errors alike
        raise TrainError(f"{path}: not a NumPy archive: {error}") from None
    return found


def _archive_key(name: str) -> str:
    """features.fire2.squeeze.0.weight -> fire2/squeeze1x1/weights"""
    *parts, kind = name.removeprefix("features.").split(".")
    layer = "/".join(_PARTS.get(part, part) for part in parts if part != "0")
    return f"{layer}/{'weights' if kind == 'weight' else kind}"


def _from_checkpoint(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return load_checkpoint(path, (FORMAT, CLASSIFIER_FORMAT))["ema"]


def _from_onnx(path: Path, own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of an ONNX file, packed or not. Our exports name an initialiser LAYER.weight or LAYER.bias and have BatchNorm
    folded in. A net with BatchNorm gets the folded weights, a norm that does nothing but add the folded bias, and so
    computes the same."""
    import onnx  # needed here alone
    from onnx import numpy_helper

    try:
        data = path.read_bytes()
        model = onnx.load_from_string(unpack(data, str(path))[0] if path.suffix == SUFFIX else data)
    except ModelFileError as error:
        raise TrainError(str(error)) from None
    except Exception as error:  # protobuf raises its own kinds
        raise TrainError(f"{path}: not an ONNX file: {error}") from None
    arrays = {
        item.name: torch.from_numpy(numpy_helper.to_array(item).astype(np.float32)) for item in model.graph.initializer
    }
    found = {}
    for name, value in own.items():
        module, _, kind = name.rpartition(".")
        # conv is LAYER.0 and its norm LAYER.1 in a ConvAct, of which the export writes LAYER
        stem, _, position = module.rpartition(".")
        layer = stem if position in ("0", "1") else module
        if position == "1" and f"{layer}.weight" in arrays:
            if kind == "bias":
                found[name] = arrays.get(f"{layer}.bias", value)
            elif kind == "weight":
                found[name] = torch.ones_like(value)
            elif kind == "running_mean":
                found[name] = torch.zeros_like(value)
            elif kind == "running_var":
                found[name] = torch.full_like(value, 1 - 1e-5)  # BatchNorm's own eps makes it 1
        elif f"{layer}.{kind}" in arrays:
            found[name] = arrays[f"{layer}.{kind}"]
    return found
