"""A SqueezeNet classifier from a file of weights: version and classes are found from the arrays' shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sqdet_cv.spec.classifier_spec import ClassifierSpec

from ..common.errors import TrainError
from ..models.fuse import unfuse
from ..models.squeezenet import LAYOUTS, SqueezeNet
from .exported import read_arrays, read_with_spec
from .finite import require_finite
from .initialize import load_imagenet_archive

CROP, SQUARE = 227, 256  # DeepScale's nets: trained on crops of that side out of images squeezed to such a square


def center_crop_spec(labels: Sequence[str], input_wh: tuple[int, int]) -> ClassifierSpec:
    """A classifier that looks at the middle of the image in DeepScale's proportion, 227 of 256 pixels."""
    side = round(max(input_wh) * SQUARE / CROP)
    return ClassifierSpec(tuple(labels), input_wh, resize="center_crop", resize_side=side)


def squeezenet_from_weights(path: str | Path, version: str | None = None) -> tuple[SqueezeNet, str]:
    """The classifier in evaluation mode, and its version ("1.0" or "1.1").

    Args:
        path: an ImageNet archive (.npz, Caffe names), or `SqueezeNet.state_dict()` saved by torch.save (.pt).
        version: the one that the weights must be of; None: whichever has a conv1 of that shape.

    Raises:
        TrainError: the file is missing, of no known kind, or not the weights of such a net.
    """
    path = Path(path)
    if not path.is_file():
        raise TrainError(f"{path}: no such file; expected an ImageNet archive (.npz) or a SqueezeNet's weights (.pt)")
    if path.suffix.lower() == ".npz":
        net, version = _empty_net(path, _archive_shapes(path), ("conv1/weights", "conv10/weights"), version)
        load_imagenet_archive(net, path)
    elif path.suffix.lower() == ".pt":
        state = _state(path)
        shapes = {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
        net, version = _empty_net(path, shapes, ("features.conv1.weight", "conv10.weight"), version)
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise TrainError(f"{path}: not the weights of a SqueezeNet: {_one_line(error)}") from None
    else:
        raise TrainError(f"{path}: expected an ImageNet archive (.npz) or a SqueezeNet's weights (.pt)")
    require_finite(path, net.state_dict())
    return net.eval(), version


def squeezenet_from_exported(path: str | Path, version: str | None = None) -> tuple[SqueezeNet, str, ClassifierSpec]:
    """As `squeezenet_from_weights`, of an .onnx or .sqdet that `python -m export classifier` wrote, with its spec."""
    path = Path(path)
    model, spec = read_with_spec(path, ClassifierSpec)
    arrays = read_arrays(model)
    require_finite(path, arrays)
    shapes = {name: tuple(value.shape) for name, value in arrays.items()}
    net, version = _empty_net(path, shapes, ("features.conv1.weight", "conv10.weight"), version)
    try:
        net.load_state_dict(unfuse(arrays, net.state_dict()))
    except (KeyError, RuntimeError) as error:
        raise TrainError(f"{path}: not a classifier as `python -m export` writes it: {_one_line(error)}") from None
    return net.eval(), version, spec


def _empty_net(
    path: Path, shapes: dict[str, tuple[int, ...]], names: tuple[str, str], version: str | None
) -> tuple[SqueezeNet, str]:
    """A SqueezeNet of the version and number of classes that the shapes of conv1 and conv10 say."""
    if missing := [name for name in names if len(shapes.get(name, ())) != 4]:
        raise TrainError(f"{path}: no convolution {missing[0]} in it; expected the weights of a SqueezeNet classifier")
    conv1, conv10 = (shapes[name] for name in names)
    versions = [
        name
        for name, layout in LAYOUTS.items()
        if conv1 == (layout.conv1_channels, 3, layout.conv1_kernel, layout.conv1_kernel)
    ]
    if not versions:
        raise TrainError(f"{path}: {names[0]} has shape {conv1}, as no SqueezeNet version of {', '.join(LAYOUTS)} has")
    if version not in (None, *versions):
        raise TrainError(f"{path}: the weights of SqueezeNet {versions[0]}, not {version}")
    return SqueezeNet(versions[0], num_classes=conv10[0]), versions[0]


def _archive_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with np.load(path) as archive:
            return {name: archive[name].shape for name in ("conv1/weights", "conv10/weights") if name in archive}
    except Exception as error:  # NumPy raises zip, pickle, end-of-file and type errors alike
        raise TrainError(f"{path}: not a NumPy archive: {error}") from None


def _state(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors alike
        raise TrainError(f"{path}: not saved by torch.save: {_one_line(error)}") from None
    if not isinstance(state, dict):
        raise TrainError(f"{path}: holds a {type(state).__name__}; expected the state_dict of a SqueezeNet")
    return state


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or repr(error)).split())[:200]
