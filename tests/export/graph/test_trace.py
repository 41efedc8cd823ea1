"""The layer list against the net it came from."""

import numpy as np
import pytest
import torch
from torch import nn

from export.errors import ExportError
from export.graph.trace import trace
from train.models import SqueezeNet, build_net


def randomise_norms(net: nn.Module) -> None:
    """Statistics as after training; fresh ones (mean 0, variance 1) would hide a wrong fold."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 2),
                (module.bias.data, -1, 1),
                (module.running_mean, -1, 1),
                (module.running_var, 0.2, 3),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def test_norm_folds_into_the_convolution_before_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)).eval()
    randomise_norms(net)
    (layer,) = trace(net, "image")
    x = torch.randn(2, 3, 8, 8)
    folded = nn.functional.conv2d(x, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias), padding=1)
    torch.testing.assert_close(folded, net(x), rtol=1e-5, atol=1e-5)


def test_layers_of_a_detector():
    layers = trace(build_net("sqdet", 2, 3).eval(), "image")
    names = [layer.name for layer in layers]
    assert names[:3] == ["features.conv1", "features.conv1.relu", "features.pool1"]
    assert names[-1] == "convdet" and layers[-1].weight.shape == (2 * (3 + 5), 320, 1, 1)
    assert len(set(names)) == len(names)
    known = {"image"}
    for layer in layers:  # in the order of computation
        assert set(layer.inputs) <= known
        known.add(layer.name)


def test_weights_are_all_there():
    net = SqueezeNet("1.1").eval()
    count = sum(layer.weight.size + layer.bias.size for layer in trace(net, "image") if layer.kind == "conv")
    assert count == sum(parameter.numel() for parameter in net.parameters())


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return y + y


def test_addition():
    layers = trace(Doubled().eval(), "image")
    assert [(layer.kind, layer.inputs) for layer in layers] == [("conv", ["image"]), ("add", ["conv", "conv"])]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        pytest.param(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), "grouped", id="groups"),
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2)), "dilated", id="dilation"),
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3, stride=(1, 2))), "differs between height and width", id="stride"),
        pytest.param(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)), "directly follow a convolution", id="lone norm"),
        pytest.param(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), "GELU", id="unknown module"),
    ],
)
def test_what_cannot_be_exported_is_named(net, said):
    with pytest.raises(ExportError, match=said):
        trace(net.eval(), "image")


def test_training_mode_is_refused():
    with pytest.raises(ExportError, match="training mode"):
        trace(nn.Sequential(nn.Conv2d(3, 4, 1)).train(), "image")


def test_float64_weights_become_float32():
    (layer,) = trace(nn.Sequential(nn.Conv2d(3, 4, 1)).double().eval(), "image")
    assert layer.weight.dtype == layer.bias.dtype == np.float32
