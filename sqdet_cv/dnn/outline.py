"""What a model file says of its network, read without making it: inputs, outputs and parameters.

So a file can be described that this OpenCV does not run.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..errors import ModelFileError
from .protobuf import messages, numbers, text, texts

# Operations with weights of their own, and those through which a weight stored in another type passes on its way there.
WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu"}
CONVERSIONS = {"Cast", "DequantizeLinear", "Identity", "Transpose"}
WEIGHTED_CAFFE = {"Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "PReLU"}


class Outline(NamedTuple):
    """A network from outside.

    Attributes:
        inputs: name to shape, None for a size that is open; empty for Caffe, which keeps them in the prototxt.
        outputs: names of the tensors that it gives.
        parameters: numbers in the weights of convolutions, matrix products and normalisations.
    """

    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    parameters: int


def onnx_outline(data: bytes) -> Outline:
    """That of an ONNX file. Raises ModelFileError: it is none, or has no graph."""
    graph = next(messages(memoryview(data), 7), None)
    if graph is None:
        raise ModelFileError("not an ONNX file: it holds no graph")
    sizes = {text(tensor, 8): math.prod(numbers(tensor, 1)) for tensor in messages(graph, 5)}
    origin: dict[str, str] = {}  # of a converted weight: the name under which it is stored
    weights: set[str] = set()
    for node in messages(graph, 1):
        kind, inputs = text(node, 4), texts(node, 1)
        if kind in CONVERSIONS and inputs:
            origin |= dict.fromkeys(texts(node, 2), origin.get(inputs[0], inputs[0]))
        elif kind in WEIGHTED:
            weights.update(origin.get(name, name) for name in inputs)
    return Outline(
        {name: _shape(value) for value in messages(graph, 11) if (name := text(value, 1)) not in sizes},
        tuple(text(value, 1) for value in messages(graph, 12)),
        sum(size for name, size in sizes.items() if name in weights),
    )


def caffe_outline(data: bytes) -> Outline:
    """That of a .caffemodel. Raises ModelFileError: it is none, or has no layers of today's format."""
    layers = list(messages(memoryview(data), 100))
    if not layers:
        raise ModelFileError("not a Caffe model: it holds no layers")
    ends: dict[str, None] = {}  # an ordered set; a layer that works in place has one name for input and output
    for layer in layers:
        for name in texts(layer, 3):
            ends.pop(name, None)
        ends |= dict.fromkeys(texts(layer, 4))
    blobs = [blob for layer in layers if text(layer, 2) in WEIGHTED_CAFFE for blob in messages(layer, 7)]
    sizes = [math.prod(size for shape in messages(blob, 7) for size in numbers(shape, 1)) for blob in blobs]
    return Outline({}, tuple(ends), sum(sizes))


def _shape(value_info: memoryview) -> tuple[int | None, ...]:
    """Of a tensor: its sizes; one with a name in place of a number is open."""
    sizes: list[int | None] = []
    for kind in messages(value_info, 2):
        for tensor in messages(kind, 1):
            for shape in messages(tensor, 2):
                sizes += [next(iter(numbers(size, 1)), None) for size in messages(shape, 1)]
    return tuple(sizes)
