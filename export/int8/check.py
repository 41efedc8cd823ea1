"""Runs what was written: the int8 file in cv2.dnn, layer by layer, against the arithmetic it stands for.

A comparison of final outputs would have to be loose. Runtimes sum in different orders, so a value near the middle
between two steps falls on either; twenty layers later many values differ, by as much as quantisation itself costs, and
a wrong padding or bias could hide there. Therefore:

1. A probe, the same model with every convolution's stored output as a further output, runs in OpenCV. Each layer is
   computed in float64 integers from what OpenCV gave for the layer's inputs, and must agree to one step, nearly
   everywhere exactly.
2. The grid computed from the last stored tensor must give the file's own scores and boxes, as closely as a float file.
   This also shows that file and probe compute the same.
3. The layers that it stands for are those of the float net, but for the rounding of weights and biases.
4. The difference to the float net is what quantisation costs in a few images. It is measured, not judged.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.spec.detector_spec import ModelSpec
from train.models import AnyNet

from ..check import Tolerance, check_detector
from ..errors import ExportError
from ..graph.trace import trace
from ..onnx.model import INPUT
from .quantize import stored
from .reference import Int8Net

MOVED_SHARE = 1e-3  # of a layer's values may fall on the next step; the most seen in OpenCV 4.10, 4.14, 5.1 is 3e-4
ANY = Tolerance(scores=math.inf, boxes=math.inf)


def check_int8(
    name: str, onnx_file: bytes, net: AnyNet, int8_net: Int8Net, spec: ModelSpec, head: str, crop: int
) -> tuple[float, float]:
    """The largest difference to the float net in scores and in boxes (input pixels) over all anchors of a few images.

    Args:
        name: where the file will be written, for the errors.

    Raises:
        ExportError: a layer or the head does not compute what `int8_net` does, or `int8_net` is another net.
    """
    _check_rounding(name, net, int8_net)
    check_detector(name, onnx_file, LayerByLayer(name, onnx_file, int8_net), spec, head, crop)
    return check_detector(name, onnx_file, net, spec, head, crop, ANY)


def _check_rounding(name: str, net: AnyNet, int8_net: Int8Net) -> None:
    """Each channel of a convolution gives what the float one does, but for half a step of 8 bits a weight and a
    thousandth of its bias, for every input that its stored tensor can hold."""
    for layer, rounded in zip(trace(net, INPUT), int8_net.layers):
        if layer.kind != "conv":
            continue
        reach = 255 * float(int8_net.quantisers[layer.inputs[0]].scale)
        weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
        moved = np.abs(rounded.weight - weight).sum(axis=(1, 2, 3)) * reach + np.abs(rounded.bias - bias)
        step = np.abs(weight).max(axis=(1, 2, 3)) / 127
        allowed = 0.51 * step * weight[0].size * reach + 1e-3 * np.abs(bias)
        if not (moved <= allowed).all():
            channel = int(np.argmax(moved - allowed))
            raise ExportError(
                f"{name}: {layer.name}: 8 bits move channel {channel} by up to {moved[channel]:.3g} (allowed "
                f"{allowed[channel]:.3g}); nothing was written"
            )


class LayerByLayer:
    """As Int8Net, but each layer starts from what OpenCV gave for its inputs, and is compared with OpenCV's output."""

    def __init__(self, name: str, onnx_file: bytes, int8_net: Int8Net) -> None:
        self.name, self.int8_net = name, int8_net
        self.split = int8_net.split
        self.probe, self.outputs = _probe(name, onnx_file, int8_net)

    def __call__(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = [self._one(image[None]) for image in x]
        if isinstance(given[0], tuple):
            return tuple(torch.cat(grids) for grids in zip(*given))
        return torch.cat(given)

    def _one(self, x: Tensor) -> Any:
        self.probe.setInput(x.numpy())
        names = list(self.outputs.values())
        given = dict(zip(self.outputs, self.probe.forward(names)))

        def compare(name: str, tensor: Tensor) -> Tensor:
            expected = self.int8_net.round(name, tensor)
            if name not in given:
                return expected
            self._compare(name, given[name], expected.numpy())
            return torch.from_numpy(given[name]).double()

        return self.int8_net.run(x, compare)

    def _compare(self, name: str, given: np.ndarray, expected: np.ndarray) -> None:
        if given.shape != expected.shape:
            raise ExportError(f"{self.name}: OpenCV gives {name} the shape {given.shape}, expected {expected.shape}")
        steps = np.rint(np.abs(given - expected) / self.int8_net.quantisers[name].scale)
        moved, allowed = np.count_nonzero(steps), 1 + int(MOVED_SHARE * steps.size)  # a tiny layer may have its one
        if not (steps.max() <= 1 and moved <= allowed):  # NaN fails too
            raise ExportError(
                f"{self.name}: OpenCV {cv2.__version__} differs in {name} by up to {steps.max():g} steps (allowed "
                f"1), in {moved} of {steps.size} values (allowed {allowed}); nothing was written"
            )


def _probe(name: str, onnx_file: bytes, int8_net: Int8Net) -> tuple[cv2.dnn.Net, dict[str, str]]:
    """The file's network with further outputs: tensor name -> name of the output with its real values.

    Not the input: OpenCV 5 rounds it differently when it is also an output.
    """
    model = onnx.load_from_string(onnx_file)
    names = {stored(one): one for one in int8_net.quantisers}
    outputs = {}
    for node in list(model.graph.node):
        if node.op_type != "QuantizeLinear" or node.input[0] == INPUT:
            continue
        (code,) = node.output
        tensor = names[code]
        outputs[tensor] = f"{tensor}.probe"
        model.graph.node.append(helper.make_node("DequantizeLinear", [code, *node.input[1:]], [outputs[tensor]]))
        model.graph.output.append(helper.make_tensor_value_info(outputs[tensor], TensorProto.FLOAT, None))
    model = onnx.shape_inference.infer_shapes(model)  # OpenCV wants the shapes of outputs
    return read_onnx(model.SerializeToString(), f"{name} with probes"), outputs
