"""Layers computed one by one against the net that they were traced from."""

import pytest
import torch

from export.errors import ExportError
from export.graph.run import run_layers
from export.graph.trace import Layer, trace
from export.onnx.model import INPUT
from tests.write_int8_model import tiny_detector


def keep(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


@torch.no_grad()
def test_same_as_the_net_and_every_tensor_is_there():
    net, spec = tiny_detector()
    layers = trace(net, INPUT)
    assert {layer.kind for layer in layers} == {"conv", "relu", "leaky_relu", "max_pool", "concat"}
    tensors = {INPUT: 50 * torch.randn(2, 3, *spec.input_wh[::-1])}
    torch.testing.assert_close(*run_layers(layers, tensors, keep), net(tensors[INPUT]))
    assert list(tensors) == [INPUT, *(layer.name for layer in layers)]


def test_what_after_gives_goes_on_in_place_of_the_output():
    net, _ = tiny_detector()
    layers = trace(net, INPUT)
    (stopped,) = run_layers(layers, {INPUT: torch.randn(1, 3, 48, 64)}, lambda name, t: t * (name != "layers.fire3"))
    bias = torch.from_numpy(layers[-1].bias)  # of ConvDet, which now sees zeros
    torch.testing.assert_close(stopped, bias[None, :, None, None].expand_as(stopped))


def test_other_kinds_are_refused():
    with pytest.raises(ExportError, match="pool10: a layer of kind average_pool cannot be quantised"):
        run_layers([Layer("pool10", "average_pool", [INPUT])], {INPUT: torch.zeros(1, 3, 4, 4)}, keep)
