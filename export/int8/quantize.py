"""A detector as a quantised ONNX file (QDQ: QuantizeLinear and DequantizeLinear around float operations).

Activations are uint8, one scale a tensor; weights int8, symmetric, one scale an output channel; biases int32 in steps
of input scale x weight scale. ConvDet's weights are int8 too, but its output and all behind it (softmax, sigmoid,
decoding) stay float: logits and deltas have very different ranges, and no int8 operation follows.

The graph has the form that importers turn into integer layers, DequantizeLinear -> Conv -> QuantizeLinear:

- No Relu: uint8 with zero point 0 clamps below 0, which is all that ReLU does. OpenCV 5 keeps the convolution in float
  if a Relu stands between.
- Concat and MaxPool work on the uint8 values themselves; what they join or pass on has one scale.

OpenCV 5.1 computes such a file in integers, which takes twice as long as float on a CPU without VNNI; OpenCV 4 computes
its convolutions in float and rounds between them, as fast as a float file (`benchmarks/speed/int8.py`).

Needs opset 13, the first whose DequantizeLinear knows channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ExportError
from ..graph.trace import Layer, output_names
from ..onnx.model import INPUT, GraphBuilder
from .calibrate import Range

ACTIVATIONS = ("relu", "leaky_relu")
BIAS_LIMIT = 2**30  # half of int32: the products are added to it
MOVES = ("concat", "max_pool", "upsample")  # computes nothing new: input and output have the same scale


@dataclass(frozen=True)
class Quantiser:
    """real value = scale * (stored uint8 - zero_point)"""

    scale: np.float32
    zero_point: np.uint8

    @classmethod
    def of_range(cls, covered: Range) -> Quantiser:
        """The finest steps that reach both ends; 0 is one of them exactly, since padding is made of it."""
        scale = np.float32(max((covered.high - covered.low) / 255, 1e-12))  # a dead tensor is 0 everywhere
        return cls(scale, np.uint8(np.rint(-covered.low / scale)))


@dataclass(frozen=True)
class QuantisedConv:
    """The integers of a convolution.

    Attributes:
        weight: (out, in, height, width) int8, in [-127, 127].
        weight_scale: (out,) float32.
        bias: (out,) int32, in steps of bias_scale.
        bias_scale: (out,) float32: input scale x weight scale.
    """

    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    bias_scale: np.ndarray

    @classmethod
    def of_layer(cls, layer: Layer, input_scale: np.float32) -> QuantisedConv:
        largest = np.abs(layer.weight).max(axis=(1, 2, 3))
        # A filter of zeros, or behind a tensor that was always 0, still has its bias, which must fit.
        for_bias = np.abs(layer.bias.astype(np.float64)) / (float(input_scale) * BIAS_LIMIT)
        scale = np.maximum(np.maximum(largest / 127, for_bias), 1e-12).astype(np.float32)
        weight = np.rint(layer.weight / scale[:, None, None, None]).clip(-127, 127).astype(np.int8)
        bias_scale = input_scale * scale
        bias = np.rint(layer.bias.astype(np.float64) / bias_scale).astype(np.int32)
        return cls(weight, scale, bias, bias_scale)


def choose_quantisers(layers: Sequence[Layer], ranges: dict[str, Range]) -> dict[str, Quantiser]:
    """A quantiser for each tensor that the file stores as uint8; the others (a convolution's output before its
    activation, and the last layer's) are float.

    Args:
        ranges: from `collect_ranges`, every tensor by name.
    """
    float_tensors = {name for layer in layers if layer.kind in ACTIVATIONS for name in layer.inputs}
    float_tensors.update(output_names(layers))
    groups = {name: {name} for name in ranges if name not in float_tensors}  # each shared by all its members
    for layer in layers:
        if layer.kind in MOVES:
            together = set().union(*(groups[name] for name in (layer.name, *layer.inputs)))
            groups |= dict.fromkeys(together, together)
    quantisers = {}
    for name, members in groups.items():
        covered = Range()
        for member in members:
            covered = covered.including(ranges[member])
        quantisers[name] = Quantiser.of_range(covered)
    return quantisers


class Int8Builder(GraphBuilder):
    """As GraphBuilder; a tensor with a quantiser is stored as uint8 under the name `stored(tensor)`."""

    opset = 13

    def __init__(self, quantisers: dict[str, Quantiser]) -> None:
        super().__init__()
        self.quantisers = quantisers
        self._quantise(INPUT, INPUT)

    def add_layer(self, layer: Layer) -> str:
        if layer.kind in MOVES:
            inputs = [stored(name) for name in layer.inputs]
            return super().add_layer(dataclasses.replace(layer, name=stored(layer.name), inputs=inputs))
        if layer.kind == "conv":
            output = self._add_conv(layer)
        elif layer.kind == "add":
            inputs = [
                self._dequantised_input(source, f"{layer.name}.input{i}") for i, source in enumerate(layer.inputs)
            ]
            output = super().add_layer(dataclasses.replace(layer, inputs=inputs))
        elif layer.kind == "relu" and self.quantisers[layer.name].zero_point == 0:
            output = layer.inputs[0]  # what is below 0 is clamped
        elif layer.kind in ACTIVATIONS:
            output = super().add_layer(layer)
        else:
            raise ExportError(f"{layer.name}: a layer of kind {layer.kind} cannot be quantised")
        if layer.name in self.quantisers:
            self._quantise(output, layer.name)
        return output

    def add_split(self, source: str, outputs: Sequence[str], axis: int, widths: Sequence[int]) -> str:
        sizes = self.constant(f"{outputs[0]}.widths", np.asarray(widths, np.int64))  # an input since opset 13
        return self.add("Split", [source, sizes], outputs, axis=axis)

    def _quantise(self, source: str, name: str) -> None:
        self.add("QuantizeLinear", [source, *self._steps(name, self.quantisers[name])], stored(name))

    def _add_conv(self, layer: Layer) -> str:
        (source,), name = layer.inputs, layer.name
        conv = QuantisedConv.of_layer(layer, self.quantisers[source].scale)
        inputs = [
            self._dequantised_input(source, f"{name}.input"),
            self._dequantised(f"{name}.weight", conv.weight, conv.weight_scale),
            self._dequantised(f"{name}.bias", conv.bias, conv.bias_scale),
        ]
        return self.add_conv(layer, inputs)

    def _dequantised_input(self, source: str, name: str) -> str:
        """The stored tensor of a layer's input as real values under that name."""
        return self.add("DequantizeLinear", [stored(source), *self._steps(name, self.quantisers[source])], name)

    def _steps(self, prefix: str, quantiser: Quantiser) -> list[str]:
        scale, zero_point = np.asarray(quantiser.scale), np.asarray(quantiser.zero_point)
        return [self.constant(f"{prefix}.scale", scale), self.constant(f"{prefix}.zero_point", zero_point)]

    def _dequantised(self, name: str, values: np.ndarray, scale: np.ndarray) -> str:
        """The constant values * scale, one scale an output channel."""
        inputs = [
            self.constant(f"{name}.stored", values),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero_point", np.zeros(scale.shape, values.dtype)),
        ]
        return self.add("DequantizeLinear", inputs, name, axis=0)


def stored(name: str) -> str:
    return f"{name}.uint8"
