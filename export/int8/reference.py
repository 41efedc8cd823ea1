"""The int8 file's arithmetic in PyTorch, with exact integers: what the file should give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from ..check import GridNet
from ..graph.run import run_layers
from ..graph.trace import Layer
from ..onnx.model import INPUT
from .quantize import QuantisedConv, Quantiser


class Int8Net:
    """Computes a detector's grids as its int8 file does: each stored tensor is rounded to its uint8 steps, weights and
    biases to theirs; sums are float64, where integers of this size are exact.

    A runtime rounds sums in float32 before it quantises, so now and then one of its values falls on the next step, and
    layer by layer such differences grow. `export.int8.check` therefore compares single layers.

    Attributes:
        layers: the net's, with rounded weights and biases (float64).
        quantisers: of each tensor that is stored as uint8.
        split: as the net's.
    """

    def __init__(self, net: GridNet, layers: Sequence[Layer], quantisers: dict[str, Quantiser]) -> None:
        self.layers = [_rounded(layer, quantisers) if layer.kind == "conv" else layer for layer in layers]
        self.quantisers = quantisers
        self.split = net.split

    def __call__(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, 3, height, width) float32 to what the net's forward gives, float32."""
        return self.run(x, self.round)

    def run(self, x: Tensor, after: Callable[[str, Tensor], Tensor]) -> Tensor | tuple[Tensor, ...]:
        """As a call, with `after` (see `run_layers`) instead of the rounding behind each layer."""
        grids = run_layers(self.layers, {INPUT: self.round(INPUT, x.double())}, after)
        return grids[0].float() if len(grids) == 1 else tuple(grid.float() for grid in grids)

    def round(self, name: str, tensor: Tensor) -> Tensor:
        """To the steps of the tensor's quantiser, if it has one."""
        if name not in self.quantisers:
            return tensor
        scale, zero_point = float(self.quantisers[name].scale), int(self.quantisers[name].zero_point)
        return ((tensor / scale).round() + zero_point).clamp(0, 255).sub(zero_point) * scale


def _rounded(layer: Layer, quantisers: dict[str, Quantiser]) -> Layer:
    """A convolution whose weight and bias are whole multiples of their scales."""
    conv = QuantisedConv.of_layer(layer, quantisers[layer.inputs[0]].scale)
    weight = conv.weight * conv.weight_scale[:, None, None, None].astype(np.float64)
    return dataclasses.replace(layer, weight=weight, bias=conv.bias * conv.bias_scale.astype(np.float64))
