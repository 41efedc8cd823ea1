"""The graph of an ONNX file computed in PyTorch: for batches, at other input sizes than the file's, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.exported import read_exported
from ..common.errors import TrainError


class OnnxGraph(nn.Module):
    """(N, 3, H, W) float32 to the named tensors of the graph, float32. It has no weights that learn.

    It knows the operations of convolutional detectors up to their outputs for each cell. A Reshape whose target has
    three dimensions, (N, cells, channels) as exports write it for one input size, counts the cells anew.

    Raises:
        TrainError: the file cannot be read, lacks one of the outputs, or has an operation that is not known here.
    """

    def __init__(self, path: str | Path, outputs: Sequence[str]) -> None:
        super().__init__()
        from onnx import helper, numpy_helper

        graph = read_exported(path)[0].graph
        self.image, self.outputs = graph.input[0].name, tuple(outputs)
        self.constants: dict[str, Tensor | str] = {}
        for item in graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(item).copy())
            if value.is_floating_point():
                name = f"constant_{len(self.constants)}"
                self.register_buffer(name, value.float(), persistent=False)
                self.constants[item.name] = name
            else:
                self.constants[item.name] = value
        needed, nodes = set(outputs), []
        for node in reversed(graph.node):
            if needed & set(node.output):
                nodes.append(node)
                needed |= set(node.input)
        if missing := [name for name in outputs if not any(name in node.output for node in nodes)]:
            raise TrainError(
                f"{path}: has no tensor called {missing[0]}; expected {', '.join(outputs)}, as NanoDet has"
            )
        self.steps = [
            (node.op_type, list(node.input), list(node.output), _attributes(node, helper)) for node in reversed(nodes)
        ]
        if unknown := [kind for kind, *_ in self.steps if kind not in OPERATIONS]:
            raise TrainError(f"{path}: the operation {unknown[0]} is not one of {', '.join(OPERATIONS)}")

    def constant(self, name: str) -> Tensor:
        """A constant of the graph, on this module's device."""
        value = self.constants[name]
        return getattr(self, value) if isinstance(value, str) else value

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        values = {self.image: x}
        for kind, inputs, outputs, attributes in self.steps:
            given = [values[name] if name in values else self.constant(name) if name else None for name in inputs]
            result = OPERATIONS[kind](attributes, *given)
            values.update(zip(outputs, result if isinstance(result, tuple) else (result,)))
        return tuple(values[name].float() for name in self.outputs)


def _attributes(node: object, helper: object) -> dict:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _conv(a: dict, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    bias = None if bias is None else bias.to(weight.dtype)
    return F.conv2d(x, weight, bias, a["strides"], a["pads"][:2], groups=a.get("group", 1))


def _gather(a: dict, x: Tensor, index: Tensor) -> Tensor:
    """A channel shuffle is written as one: OpenVINO 2026.4 computes a Gather of channels wrongly (it folds it into the
    wrong weights, without an error)."""
    order, channels = index.reshape(-1), x.shape[1]
    if a.get("axis", 0) == 1 and channels % 2 == 0:
        shuffle = torch.arange(channels).view(2, -1).T.reshape(-1)
        if order.tolist() == shuffle.tolist():
            return x.unflatten(1, (2, channels // 2)).transpose(1, 2).flatten(1, 2)
    return x.index_select(a.get("axis", 0), order.to(x.device))


def _reshape(_: dict, x: Tensor, shape: Tensor) -> Tensor:
    dims = shape.tolist()
    return x.flatten(1, 2) if len(dims) == 3 else x.reshape(len(x), *dims[1:])


def _resize(a: dict, x: Tensor, *_: Tensor) -> Tensor:
    if a.get("mode", b"nearest") == b"linear":
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


OPERATIONS = {
    "Add": lambda _, a, b: a + b,
    "Cast": lambda _, x: x,  # weights stored as float16: widened when they were read
    "Concat": lambda a, *given: torch.cat(given, a["axis"]),
    "Conv": _conv,
    "Gather": _gather,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a["alpha"]),
    "MaxPool": lambda a, x: F.max_pool2d(x, a["kernel_shape"], a["strides"], a["pads"][:2]),
    "Relu": lambda _, x: F.relu(x),
    "Reshape": _reshape,
    "Resize": _resize,
    "Split": lambda a, x: torch.split(x, list(a["split"]), a["axis"]),
    "Transpose": lambda a, x: x.permute(a["perm"]),
}
