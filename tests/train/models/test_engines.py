from __future__ import annotations

import copy

import pytest
import torch

from train.models import FpnConfig, SqueezeDetFpn, engines
from train.models.engines import difference, fast_engine, use_fast_stem

NARROW = FpnConfig(backbone_fires=((8, 8, 8),) * 8, coarse_fires=((8, 8, 8),) * 2, width=8, fine_width=8)
FROZEN = ("conv1", "fire2", "fire3")


def test_an_engine_computes_the_net():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU()).eval()
    x = torch.randn(2, 3, 32, 32)
    (given,) = fast_engine(net, x).run(x)
    torch.testing.assert_close(given, net(x).detach(), rtol=0.02, atol=0.02)


def test_an_engine_that_computes_something_else_is_not_used(monkeypatch):
    """As OpenVINO did with a teacher: no error, other numbers."""
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(engines, "_by_openvino", lambda net, images: lambda x: (net(x).detach().roll(1, 1),))
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 4, 1).eval()
    assert fast_engine(net, torch.randn(1, 3, 8, 8)).name == "PyTorch"
    monkeypatch.setattr(engines, "_by_openvino", lambda net, images: lambda x: (net(x).detach(),))
    assert fast_engine(net, torch.randn(1, 3, 8, 8)).name == "OpenVINO"


def test_difference_is_that_of_the_worst_tensor():
    right = (torch.ones(4), torch.tensor([2.0, -2.0]))
    assert difference(right, right) == 0
    assert difference((torch.ones(4), torch.tensor([2.0, -1.0])), right) == pytest.approx(0.25)


def test_a_frozen_stem_gives_the_same_net_and_only_in_training():
    torch.manual_seed(0)
    net = SqueezeDetFpn(NARROW, 3)
    plain, x = copy.deepcopy(net), torch.randn(4, 3, 128, 128)
    use_fast_stem(net, FROZEN)
    for mode in (True, False):
        for given, right in zip(net.train(mode).features(x), plain.train(mode).features(x)):
            torch.testing.assert_close(given, right, rtol=0.02, atol=0.02)
    net.features.fast_stem = lambda _: pytest.fail("used outside of training")
    net.eval()(x)


def test_a_stem_that_learns_is_left_alone():
    net = SqueezeDetFpn(NARROW, 3)
    use_fast_stem(net, ("conv1",))
    assert net.features.fast_stem is None
