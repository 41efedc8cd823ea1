"""Narrower nets: which filters go, and that the rest computes the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from train.checkpoints.native import load_checkpoint, net_from_checkpoint
from train.common.errors import TrainError
from train.compress.filter_pruning import (
    choose,
    filter_costs,
    filters,
    fire_widths,
    loss_changes,
    narrow,
)
from train.compress.reconstruct import input_moments, refit
from train.losses import Loss
from train.models import NetConfig, SqueezeDet
from train.models.fuse import convolutions, fuse_batchnorm
from train.models.profile import count_macs

from .tiny import make_net, pictures

NETS = {
    "1.1": {},
    "two Fires and a 3x3 ConvDet": {"head_fires": ((8, 16, 32), (24, 32, 16)), "convdet_kernel": 3},
    "1.0, conv10 kept, LeakyReLU": {"backbone": "1.0", "conv10_channels": 7, "leaky_slope": 0.01},
    "wide squeeze": {"squeeze_factor": 2},
}


def random_half(net: SqueezeDet) -> dict[str, torch.Tensor]:
    """Of each prunable convolution half of the outputs."""
    generator = torch.Generator().manual_seed(3)
    counts = {name: convolutions(net)[name].out_channels for name in filters(net)}
    return {name: torch.randperm(n, generator=generator)[: n // 2].sort().values for name, n in counts.items()}


@torch.no_grad()
def silence(net: SqueezeDet, kept: dict[str, torch.Tensor]) -> None:
    """The other filters become zero, so that their output is."""
    for name, outputs in kept.items():
        gone = torch.ones(convolutions(net)[name].out_channels, dtype=torch.bool)
        gone[outputs] = False
        convolutions(net)[name].weight[gone] = 0
        convolutions(net)[name].bias[gone] = 0


@pytest.mark.parametrize("changes", NETS.values(), ids=NETS)
def test_a_narrow_net_says_what_the_masked_one_does(changes: dict):
    net = fuse_batchnorm(make_net(**changes))
    kept = random_half(net)
    small = narrow(net, kept)
    with torch.no_grad():
        whole = net(pictures())
        silence(net, kept)
        masked = net(pictures())
        torch.testing.assert_close(small(pictures()), masked, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(whole, masked, atol=1e-3), "what is taken out matters"
    assert {name: conv.out_channels for name, conv in convolutions(small).items() if name in kept} == {
        name: len(outputs) for name, outputs in kept.items()
    }


def test_dead_filters_take_nothing_along():
    """Zero weights and a bias below zero: ReLU makes 0 of it."""
    net = fuse_batchnorm(make_net())
    kept = random_half(net)
    silence(net, kept)
    for name, outputs in kept.items():
        bias = convolutions(net)[name].bias.detach()
        gone = torch.ones(len(bias), dtype=torch.bool)
        gone[outputs] = False
        bias[gone] = -torch.rand(int(gone.sum()))
    with torch.no_grad():
        torch.testing.assert_close(narrow(net, kept)(pictures()), net(pictures()), rtol=1e-5, atol=1e-5)


def test_nothing_taken_out_changes_nothing():
    net = fuse_batchnorm(make_net(squeeze_factor=2))
    same = narrow(net, {})
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in same.state_dict().items())
    assert fire_widths(same) == fire_widths(net)


def test_widths_of_the_backbone_are_its_own_unless_given():
    own = ((16, 64, 64),) * 2 + ((32, 128, 128),) * 2 + ((48, 192, 192),) * 2 + ((64, 256, 256),) * 2
    nets = [SqueezeDet(NetConfig(backbone_fires=fires), 2, 5) for fires in ((), own, ((8, 16, 24),) * 8)]
    assert fire_widths(nets[0]) == fire_widths(nets[1])
    assert nets[2].features(torch.zeros(1, 3, 64, 64)).shape[1] == nets[2].features.out_channels == 40
    with pytest.raises(ValueError, match="shorter"):
        SqueezeDet(NetConfig(backbone_fires=own[:3]), 2, 5)


def test_a_checkpoint_from_before_there_were_widths_loads(checkpoint: Path, tmp_path: Path):
    values = load_checkpoint(checkpoint)
    del values["net"]["backbone_fires"]
    torch.save(values, tmp_path / "old.pt")
    assert net_from_checkpoint(tmp_path / "old.pt")[0].config == net_from_checkpoint(checkpoint)[0].config


@pytest.mark.slow
def test_a_filters_cost_is_what_the_net_does_less_without_it():
    net = fuse_batchnorm(make_net(head_fires=((8, 16, 32), (24, 32, 16))))
    costs, whole = filter_costs(net, (64, 96)), count_macs(net, (64, 96))
    for name in filters(net):
        less = torch.arange(convolutions(net)[name].out_channels - 1)
        assert whole - count_macs(narrow(net, {name: less}), (64, 96)) == costs[name], name


class Spread(Loss):
    """Any differentiable function of what the net says."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(self, raw: object, batch: object) -> dict[str, torch.Tensor]:
        return {"deltas": raw.deltas.square().mean(), "classes": raw.class_logits.sigmoid().mean()}


@dataclasses.dataclass
class Pictures:
    images: torch.Tensor


def test_the_loss_changes_as_it_says():
    """Against finite differences: a filter's weights and bias scaled by 1 - h, in float64."""
    net, loss, h = fuse_batchnorm(make_net()).double(), Spread(), 1e-6
    batches = [Pictures(pictures().double()), Pictures(pictures(3).double() * 2)]
    found = loss_changes(net, batches, loss)

    @torch.no_grad()
    def value(batch: Pictures) -> torch.Tensor:
        return sum(loss(net.split(net(batch.images)), batch).values())

    before = [value(batch) for batch in batches]
    for name in ("features.fire2.squeeze.0", "features.fire9.expand_3x3.0", "head.fire10.expand_1x1.0"):
        conv = convolutions(net)[name]
        for i in (0, 5):
            with torch.no_grad():
                saved = conv.weight[i].clone(), conv.bias[i].clone()
                conv.weight[i] *= 1 - h
                conv.bias[i] *= 1 - h
                changes = [(value(batch) - old) / h for batch, old in zip(batches, before)]
                conv.weight[i], conv.bias[i] = saved
            assert found[name][i].item() == pytest.approx(sum(c.item() ** 2 for c in changes), rel=1e-3), (name, i)


def test_those_go_that_matter_least_for_what_they_cost():
    importance = {"dear": torch.tensor([4.0, 1, 3, 2, 9, 9]), "cheap": torch.tensor([1.0, 1, 3, 3, 9, 9])}
    costs, groups = {"dear": 4, "cheap": 1}, {"dear": 2, "cheap": 2}
    # by group: dear [1, 2] 1.5 / 4, then [3, 4] 3.5 / 4; cheap [1, 1] 1, then [3, 3] 3
    for share, dear, cheap in ((0, [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]), (0.1, [0, 2, 4, 5], [0, 1, 2, 3, 4, 5])):
        kept = choose(importance, costs, groups, share)
        assert (kept["dear"].tolist(), kept["cheap"].tolist()) == (dear, cheap)
    assert choose(importance, costs, groups, 0.5)["dear"].tolist() == [4, 5]
    assert choose(importance, costs, groups, 0.5)["cheap"].tolist() == [2, 3, 4, 5]
    with pytest.raises(TrainError, match=r"--structured 0.7: only 8 of 12 filters can go"):
        choose(importance, costs, groups, 0.7)


def test_a_width_off_the_groups_first_comes_to_a_whole_number_of_them():
    kept = choose({"a": torch.arange(22.0)}, {"a": 1}, {"a": 8}, 0.01)
    assert kept["a"].tolist() == list(range(6, 22))
    assert len(choose({"a": torch.arange(7.0)}, {"a": 1}, {"a": 8}, 0)["a"]) == 7


def test_a_refit_layer_is_the_least_squares_answer():
    """Against `lstsq` of one layer's own inputs and outputs, gathered place by place."""
    net = fuse_batchnorm(make_net())
    name, source = "features.fire3.expand_3x3.0", "features.fire3.squeeze.0"
    kept = {source: torch.tensor([0, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14])}
    small = narrow(net, kept)
    refit(small, net, kept, input_moments(net, [pictures(4), pictures(4) + 0.5]))
    images = torch.cat([pictures(4), pictures(4) + 0.5])
    with torch.no_grad():
        x = torch.nn.Sequential(*list(net.features.children())[:4], net.features.fire3.squeeze)(images)
        wanted = convolutions(net)[name](x).permute(0, 2, 3, 1).flatten(0, 2)
        padded = torch.nn.functional.pad(x[:, kept[source]], (1, 1, 1, 1))
        rows, columns = x.shape[2:]
        patches = [
            padded[n, :, r : r + 3, c : c + 3].flatten() for n in range(8) for r in range(rows) for c in range(columns)
        ]
        inputs = torch.stack(patches)
        inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1).double()
        best = torch.linalg.lstsq(inputs, wanted.double(), driver="gelsd").solution
        conv = convolutions(small)[name]
        ours = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], dim=1).T.double()
        cut = torch.cat([convolutions(net)[name].weight[:, kept[source]].flatten(1), conv.bias[:, None] * 0], dim=1).T

    def error(weights: torch.Tensor) -> float:
        return (inputs @ weights.double() - wanted).square().mean().item()

    assert error(best) <= error(ours) * (1 + 1e-9)
    assert error(ours) < error(best) + 0.02 * (error(cut) - error(best))


def test_refit_leaves_alone_what_lost_no_input():
    net = fuse_batchnorm(make_net())
    kept = {"features.fire5.expand_1x1.0": torch.arange(32)}
    small = narrow(net, kept)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    refit(small, net, kept, input_moments(net, [pictures()]))
    changed = {name for name, value in small.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"features.fire6.squeeze.0.weight", "features.fire6.squeeze.0.bias"}
