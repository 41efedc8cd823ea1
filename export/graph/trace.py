"""A PyTorch net as a plain list of layers, BatchNorm folded: what every file format is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.fx
from torch import nn

from train.models.fuse import fuse_conv_weights

from ..errors import ExportError


@dataclass
class Layer:
    """One operation with one output, which carries the layer's name.

    Attributes:
        kind: "conv", "relu", "leaky_relu", "max_pool", "average_pool" (over the whole plane), "concat" (channels),
            "add", "upsample" (each pixel twice in both directions).
        inputs: names of layers, or of the graph's input.
        weight: (out, in, height, width) float32 of a conv; bias: (out,) float32.
        settings: conv: stride, padding; max_pool: kernel, stride, padding, ceil_mode; leaky_relu: slope.
    """

    name: str
    kind: str
    inputs: list[str]
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    settings: dict[str, int | float | bool] = field(default_factory=dict)


def trace(net: nn.Module, input_name: str) -> list[Layer]:
    """The layers of a net in the order of computation; its outputs are those that no other reads (`output_names`).

    A layer is called by its module's path; a convolution with its norm and activation in a Sequential gets the
    Sequential's path. Dropout vanishes.

    Raises:
        ExportError: an operation or setting that none of our nets has.
    """
    if net.training:
        raise ExportError("the net is in training mode; call eval() first")
    graph_module = torch.fx.symbolic_trace(net)
    modules = dict(graph_module.named_modules())
    layers: dict[str, Layer] = {}
    alias: dict[torch.fx.Node, str] = {}  # fx node -> the layer whose output it is
    for node in graph_module.graph.nodes:
        if node.op == "placeholder":
            alias[node] = input_name
        elif node.op == "call_module":
            alias[node] = _add_module(node, modules[node.target], layers, alias)
        elif node.op == "call_function" and node.target is torch.cat:
            tensors = node.args[0]
            axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
            if axis != 1:
                raise ExportError(f"{node.name}: concatenates axis {axis}; only channels (1) can be exported")
            names = [alias[tensor] for tensor in tensors]
            alias[node] = _add(layers, Layer(_common_path(names), "concat", names))
        elif node.op == "call_function" and node.target.__name__ in ("add", "iadd"):
            names = [alias[tensor] for tensor in node.args]
            alias[node] = _add(layers, Layer(f"{names[-1]}.add", "add", names))
        elif node.op == "call_method" and node.target == "flatten":
            alias[node] = alias[node.args[0]]  # a (N, C, 1, 1) plane; each format writes its own
        elif node.op != "output":
            raise ExportError(f"{node.name}: {node.op} {node.target} cannot be exported")
    return list(layers.values())


def output_names(layers: Sequence[Layer]) -> list[str]:
    """The layers that no other reads, in the order of computation."""
    read = {name for layer in layers for name in layer.inputs}
    return [layer.name for layer in layers if layer.name not in read]


def _add(layers: dict[str, Layer], layer: Layer) -> str:
    if layer.name in layers:
        raise ExportError(f"two layers would be called {layer.name}")
    layers[layer.name] = layer
    return layer.name


def _add_module(
    node: torch.fx.Node, module: nn.Module, layers: dict[str, Layer], alias: dict[torch.fx.Node, str]
) -> str:
    """Adds the layer of a module, or changes the one before it; returns the name of the output."""
    path, source = str(node.target), alias[node.args[0]]
    if isinstance(module, nn.Conv2d):
        if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
            raise ExportError(f"{path}: grouped, dilated or oddly padded convolutions cannot be exported")
        bias = torch.zeros(module.out_channels) if module.bias is None else module.bias
        settings = {"stride": _square(module.stride, path), "padding": _square(module.padding, path)}
        layer = Layer(path.removesuffix(".0"), "conv", [source], _numpy(module.weight), _numpy(bias), settings)
        return _add(layers, layer)
    if isinstance(module, nn.BatchNorm2d):
        conv = layers.get(source)
        if conv is None or conv.kind != "conv" or len(node.args[0].users) > 1:
            raise ExportError(f"{path}: a BatchNorm that does not directly follow a convolution cannot be exported")
        _fold(conv, module)
        return source
    if isinstance(module, nn.Dropout | nn.Identity):
        return source
    if isinstance(module, nn.ReLU):
        return _add(layers, Layer(f"{source}.relu", "relu", [source]))
    if isinstance(module, nn.LeakyReLU):
        return _add(layers, Layer(f"{source}.relu", "leaky_relu", [source], settings={"slope": module.negative_slope}))
    if isinstance(module, nn.MaxPool2d):
        settings = {
            "kernel": _square(module.kernel_size, path),
            "stride": _square(module.stride, path),
            "padding": _square(module.padding, path),
            "ceil_mode": module.ceil_mode,
        }
        return _add(layers, Layer(path, "max_pool", [source], settings=settings))
    if isinstance(module, nn.Upsample) and module.mode == "nearest" and module.scale_factor == 2:
        return _add(layers, Layer(path, "upsample", [source]))
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return _add(layers, Layer(path, "average_pool", [source]))
    raise ExportError(f"{path}: a {type(module).__name__} cannot be exported")


def _fold(conv: Layer, norm: nn.BatchNorm2d) -> None:
    weight, bias = fuse_conv_weights(torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), norm)
    conv.weight, conv.bias = _numpy(weight), _numpy(bias)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def _square(value: int | tuple[int, int], path: str) -> int:
    first, second = (value, value) if isinstance(value, int) else value
    if first != second:
        raise ExportError(f"{path}: {value} differs between height and width; it cannot be exported")
    return first


def _common_path(names: list[str]) -> str:
    """features.fire2.expand_1x1.relu, features.fire2.expand_3x3.relu -> features.fire2"""
    parts = [name.split(".") for name in names]
    shared = []
    for column in zip(*parts):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared) or "concat"
