from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from train.common.errors import TrainError
from train.engine.optim import ModelEma, freeze, make_optimizer, train_mode
from train.engine.schedules import cosine_factor
from train.models import build_net


def test_frozen_layers_do_not_learn_and_the_rest_does():
    net = build_net("sqdet", 2, 3)
    freeze(net, "conv1,fire2")
    optimizer = make_optimizer(net, 0.1, 0.3, 0.0)
    before = {name: value.clone() for name, value in net.named_parameters()}
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    still = {name for name, value in net.named_parameters() if torch.equal(value, before[name])}
    assert still == {name for name in before if name.startswith(("features.conv1.", "features.fire2."))}


def test_norms_of_frozen_layers_keep_their_moments():
    net = build_net("sqdet", 2, 3, backbone_norm=True)
    freeze(net, "fire2")
    before = {name: value.clone() for name, value in net.state_dict().items() if "running" in name}
    train_mode(net)
    net(torch.randn(2, 3, 64, 64))
    still = {name for name, value in before.items() if torch.equal(net.state_dict()[name], value)}
    assert still and still == {name for name in before if name.startswith("features.fire2.")}
    assert net.training and net.head.training


def test_an_unknown_layer_is_named():
    with pytest.raises(TrainError, match="no backbone layer called 'fire1'; there are conv1, "):
        freeze(build_net("sqdet", 2, 3), "fire1")


def test_rates_and_decay_by_group():
    net = build_net("sqdet", 2, 3)
    optimizer = make_optimizer(net, 0.02, 0.25, 5e-4)
    setting = {id(p): (g["base_lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    expected = {
        "features.fire2.squeeze.0.weight": (0.005, 5e-4),
        "features.fire2.squeeze.0.bias": (0.005, 0.0),
        "head.fire10.squeeze.0.weight": (0.02, 5e-4),
        "head.fire10.squeeze.1.weight": (0.02, 0.0),  # BatchNorm
        "convdet.weight": (0.02, 5e-4),
        "convdet.bias": (0.02, 0.0),
    }
    parameters = dict(net.named_parameters())
    for name, values in expected.items():
        assert setting[id(parameters[name])] == pytest.approx(values), name
    assert len(setting) == len(parameters)


RATES = {
    "first step": (0, 1000, 100, 0.01),
    "middle of the warm-up": (49, 1000, 100, 0.5),
    "last of the warm-up": (99, 1000, 100, 1.0),
    "after it": (100, 1000, 100, 1.0),
    "half way": (550, 1000, 100, 0.5),
    "a third of the way": (400, 1000, 100, 0.5 * (1 + math.cos(math.pi / 3))),
    "end": (1000, 1000, 100, 0.0),
    "no warm-up": (0, 10, 0, 1.0),
    "shorter than its warm-up": (4, 5, 100, 0.05),
}


@pytest.mark.parametrize(("step", "total", "warmup", "expected"), RATES.values(), ids=RATES)
def test_learning_rate(step: int, total: int, warmup: int, expected: float):
    assert cosine_factor(step, total, warmup) == pytest.approx(expected)


def test_the_average_is_the_recurrence():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average, expected = ModelEma(net, decay=0.5), net[0].weight.detach().clone()
    for n in range(1, 40):
        with torch.no_grad():
            net[0].weight.normal_()
        net[1].num_batches_tracked += 1
        average.update(net)
        decay = min(0.5, (1 + n) / (10 + n))  # 2/11, 3/12, ... until it reaches 0.5
        expected = decay * expected + (1 - decay) * net[0].weight.detach()
        torch.testing.assert_close(average.values["0.weight"], expected)
    assert average.values["1.num_batches_tracked"].item() == 39
    assert average.updates == 39


def test_the_average_is_apart_from_the_net():
    net = nn.Linear(2, 2)
    average = ModelEma(net, 0.9)
    before = average.values["weight"].clone()
    with torch.no_grad():
        net.weight.add_(1)
    assert torch.equal(average.values["weight"], before)
