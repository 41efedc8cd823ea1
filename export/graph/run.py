"""Computes a list of layers in PyTorch, tensor by tensor, so that each can be looked at or changed on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ExportError
from .trace import Layer, output_names


def run_layers(
    layers: Sequence[Layer], tensors: dict[str, Tensor], after: Callable[[str, Tensor], Tensor]
) -> list[Tensor]:
    """The outputs of the net.

    Args:
        tensors: the graph's inputs by name; gets every layer's output added.
        after: called with each layer's name and output; what it returns goes on in its place.
    """
    for layer in layers:
        tensors[layer.name] = after(layer.name, _compute(layer, [tensors[name] for name in layer.inputs]))
    return [tensors[name] for name in output_names(layers)]


def _compute(layer: Layer, inputs: list[Tensor]) -> Tensor:
    settings = layer.settings
    if layer.kind == "conv":
        weight, bias = (torch.from_numpy(array).to(inputs[0].dtype) for array in (layer.weight, layer.bias))
        return functional.conv2d(inputs[0], weight, bias, settings["stride"], settings["padding"])
    if layer.kind == "relu":
        return functional.relu(inputs[0])
    if layer.kind == "leaky_relu":
        return functional.leaky_relu(inputs[0], settings["slope"])
    if layer.kind == "max_pool":
        kernel, stride, padding = (settings[key] for key in ("kernel", "stride", "padding"))
        return functional.max_pool2d(inputs[0], kernel, stride, padding, ceil_mode=settings["ceil_mode"])
    if layer.kind == "concat":
        return torch.cat(inputs, dim=1)
    if layer.kind == "add":
        return inputs[0] + inputs[1]
    if layer.kind == "upsample":
        return functional.interpolate(inputs[0], scale_factor=2.0, mode="nearest")
    raise ExportError(f"{layer.name}: a layer of kind {layer.kind} cannot be quantised")
