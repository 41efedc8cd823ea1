from __future__ import annotations

import copy

import torch
from torch import nn

from train.models import NetConfig, SqueezeDet
from train.models.batchnorm import recalibrate_batchnorm

CONFIG = NetConfig(head_fires=((4, 6, 6),), head_norm=True, convdet_kernel=1, convdet_padding=0, dropout=0.0)


def make_net() -> SqueezeDet:
    torch.manual_seed(0)
    net = SqueezeDet(CONFIG, 2, 3)
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return net.eval()


def make_batches(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 3, 96, 96, generator=generator) * 50 for _ in range(count)]


def test_the_net_computes_what_it_did():
    net, batches = make_net(), make_batches()
    before = copy.deepcopy(net)
    assert recalibrate_batchnorm(net, batches) == 3
    with torch.no_grad():
        torch.testing.assert_close(net(batches[0]), before(batches[0]), rtol=1e-4, atol=1e-4)


def test_in_training_it_computes_nearly_the_same_as_in_evaluation():
    net, images = make_net(), make_batches(1)
    unsettled = copy.deepcopy(net).train()
    recalibrate_batchnorm(net, images)
    with torch.no_grad():
        expected = net(images[0])
        settled_error = (net.train()(images[0]) - expected).abs().max()
        assert settled_error < 1e-4
        assert (unsettled(images[0]) - expected).abs().max() > 100 * settled_error  # what settling is for


def test_the_moments_are_those_of_all_batches_together():
    net, batches = make_net(), make_batches()
    whole = copy.deepcopy(net)
    recalibrate_batchnorm(net, batches)
    recalibrate_batchnorm(whole, [torch.cat(batches)])
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_a_net_without_norms_takes_no_batch():
    def never():
        raise AssertionError("a batch was taken")
        yield

    assert recalibrate_batchnorm(nn.Conv2d(3, 4, 1), never()) == 0
