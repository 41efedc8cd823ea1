"""An exported detector back as a PyTorch net: an ONNX file of ours, packed or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sqdet_cv.dnn.model_file import ModelFile, read_model_file
from sqdet_cv.dnn.packed import SUFFIX
from sqdet_cv.errors import ModelFileError
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.spec.json_spec import Spec

from ..common.errors import TrainError
from ..models import AnyConfig, AnyNet, FpnConfig, NetConfig
from ..models.fuse import unfuse
from ..models.squeezenet import FIRES, LAYOUTS
from .finite import require_finite

if TYPE_CHECKING:
    import onnx  # only these files need it

SUFFIXES = (".onnx", SUFFIX)


def read_exported(path: str | Path) -> tuple[onnx.ModelProto, ModelFile]:
    """The model, and the file with its spec. Raises TrainError that names the file."""
    import onnx

    try:
        file = read_model_file(path)
        return onnx.load_from_string(file.data), file
    except ModelFileError as error:
        raise TrainError(str(error)) from None
    except Exception as error:  # protobuf raises its own kinds
        raise TrainError(f"{path}: not an ONNX file: {error}") from None


def read_with_spec(path: Path, spec_type: type[Spec]) -> tuple[onnx.ModelProto, Spec]:
    """The model and its spec, which lies in the file, else beside it. Raises TrainError that names the file."""
    model, file = read_exported(path)
    try:
        return model, file.spec(spec_type)
    except ModelFileError as error:
        raise TrainError(str(error)) from None


def read_arrays(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """Its initialisers as float32. Our exports name them LAYER.weight and LAYER.bias, as `fuse.fused_arrays` does."""
    from onnx import numpy_helper

    return {
        item.name: torch.from_numpy(numpy_helper.to_array(item).astype(np.float32)) for item in model.graph.initializer
    }


def net_from_exported(path: str | Path) -> tuple[AnyNet, ModelSpec]:
    """The net in evaluation mode, without BatchNorm, which is fused in such a file; and its spec.

    Raises:
        TrainError: the file is missing, is not a detector that `python -m export` wrote, is cropped or int8, or holds
            weights that are not finite.
    """
    path = Path(path)
    model, spec = read_with_spec(path, ModelSpec)
    arrays = read_arrays(model)
    require_finite(path, arrays)
    try:
        net = _config(model, arrays).build(spec.grids[0].anchors_per_cell, spec.num_classes)
        net.load_state_dict(unfuse(arrays, net.state_dict()))
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainError(f"{path}: not a detector as `python -m export onnx` writes it: {reason}") from None
    if net.grids_hw(spec.input_wh) != tuple(grid.hw for grid in spec.grids):
        raise TrainError(f"{path}: exported with --crop; expected the whole grid of the net")
    return net.eval(), spec


def _config(model: onnx.ModelProto, arrays: dict[str, torch.Tensor]) -> AnyConfig:
    """The shape of the net, from the shapes of its weights. Raises KeyError for a layer that is not there."""
    if "lateral4.weight" in arrays:
        return FpnConfig(
            backbone_fires=tuple(_widths(arrays, f"features.{name}") for name in FIRES),
            coarse_fires=tuple(_widths(arrays, f"coarse.{name}") for name in ("fire10", "fire11")),
            width=len(arrays["lateral4.weight"]),
            fine_width=len(arrays["lateral3.weight"]),
            norm=False,
        )
    conv1 = arrays["features.conv1.weight"]
    kernels = {layout.conv1_kernel: version for version, layout in LAYOUTS.items()}
    heads = sorted({name.split(".")[1] for name in arrays if name.startswith("head.")}, key=lambda fire: int(fire[4:]))
    nodes = {node.output[0]: node for node in model.graph.node}
    slopes = [node.attribute[0].f for node in model.graph.node if node.op_type == "LeakyRelu"]
    pads = next(list(item.ints) for item in nodes["convdet"].attribute if item.name == "pads")
    return NetConfig(
        backbone=kernels[conv1.shape[2]],
        backbone_fires=tuple(_widths(arrays, f"features.{name}") for name in FIRES),
        head_fires=tuple(_widths(arrays, f"head.{name}") for name in heads),
        convdet_kernel=arrays["convdet.weight"].shape[2],
        convdet_padding=pads[0],
        conv10_channels=len(arrays["conv10.weight"]) if "conv10.weight" in arrays else 0,
        leaky_slope=slopes[0] if slopes else 0.0,
        dropout=0.0,
    )


def _widths(arrays: dict[str, torch.Tensor], fire: str) -> tuple[int, int, int]:
    squeeze, one, three = (len(arrays[f"{fire}.{part}.weight"]) for part in ("squeeze", "expand_1x1", "expand_3x3"))
    return squeeze, one, three
