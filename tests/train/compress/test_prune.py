from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from train.compress.prune import add_masks, cubic_sparsity, lamp_scores, prune
from train.engine.optim import ModelEma, make_optimizer
from train.models import SqueezeDet
from train.models.fuse import convolutions, fuse_batchnorm
from train.models.profile import zero_share

from .tiny import make_net, pictures


@pytest.fixture
def net() -> SqueezeDet:
    net = fuse_batchnorm(make_net())
    add_masks(net)
    return net


def zeros(net: SqueezeDet) -> dict[str, torch.Tensor]:
    return {name: conv.weight == 0 for name, conv in convolutions(net).items()}


def test_weights_are_compared_as_they_are_exported():
    """With BatchNorm after them, times its scale."""
    net = make_net(backbone_norm=True)
    add_masks(net)
    prune(net, 0.4)
    masked = zeros(fuse_batchnorm(net))
    plain = fuse_batchnorm(make_net(backbone_norm=True))
    add_masks(plain)
    prune(plain, 0.4)
    assert all(torch.equal(gone, masked[name]) for name, gone in zeros(plain).items())


def test_what_is_zero_before_is_masked():
    net = fuse_batchnorm(make_net())
    with torch.no_grad():
        net.convdet.weight[:4] = 0.0
    add_masks(net)
    with torch.no_grad():
        net.convdet.parametrizations.weight.original.fill_(1.0)
    assert int((net.convdet.weight == 0).sum()) == net.convdet.weight[:4].numel()


def test_masks_change_nothing_at_first(net: SqueezeDet):
    with torch.no_grad():
        assert torch.equal(net(pictures()), fuse_batchnorm(make_net())(pictures()))


@pytest.mark.parametrize("sparsity", [0.0, 0.123, 0.5, 0.9, 0.999])
def test_all_layers_together_lose_exactly_the_lowest_scores(net: SqueezeDet, sparsity: float):
    before = torch.cat([lamp_scores(conv.weight.detach()).flatten() for conv in convolutions(net).values()])
    weights = torch.cat([conv.weight.detach().flatten() for conv in convolutions(net).values()])
    prune(net, sparsity)
    after = torch.cat([conv.weight.detach().flatten() for conv in convolutions(net).values()])
    gone = after == 0
    assert int(gone.sum()) == round(sparsity * len(after))
    if gone.any() and not gone.all():
        assert before[gone].max() <= before[~gone].min()
    assert torch.equal(after[~gone], weights[~gone])


def test_of_one_layer_the_smallest_weights_go(net: SqueezeDet):
    before = net.convdet.weight.detach().clone()
    prune(torch.nn.Sequential(net.convdet), 0.5)
    gone = net.convdet.weight == 0
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert zero_share(torch.nn.Sequential(net.convdet)) == pytest.approx(0.5, abs=1e-3)


def test_lamp_is_its_formula():
    weight = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    weight[0, 0] = 0.0
    squares = [float(w) ** 2 for w in weight.flatten()]
    expected = [w / sum(v for v in squares if v >= w) if w else 0.0 for w in squares]
    np.testing.assert_allclose(lamp_scores(weight).flatten(), expected, rtol=1e-5)
    assert float(lamp_scores(weight).max()) == 1.0


def test_the_scale_of_a_layer_does_not_matter(net: SqueezeDet):
    """Plain magnitudes would remove a layer of small weights as a whole."""
    shrunk = copy.deepcopy(net)
    first = next(iter(convolutions(shrunk).values()))
    with torch.no_grad():
        first.parametrizations.weight.original.mul_(1e-3)
    for one in (net, shrunk):
        prune(one, 0.6)
    assert zero_share(shrunk) == pytest.approx(0.6, abs=1e-4)
    assert all(torch.equal(gone, zeros(shrunk)[name]) for name, gone in zeros(net).items())
    assert not first.weight.eq(0).all()


def test_pruned_weights_are_positive_zeros(net: SqueezeDet):
    prune(net, 0.5)
    for conv in convolutions(fuse_batchnorm(net)).values():
        bits = conv.weight.detach().numpy().view(np.uint32)
        assert not (bits == 0x80000000).any()


def test_what_is_pruned_stays_so_as_sparsity_rises(net: SqueezeDet):
    earlier = zeros(net)
    for sparsity in (0.2, 0.4, 0.3, 0.8):
        for conv in convolutions(net).values():  # large tensors behind the masks tempt it
            with torch.no_grad():
                conv.parametrizations.weight.original[conv.weight == 0] = 100.0
        prune(net, sparsity)
        later = zeros(net)
        assert all((later[name] >= gone).all() for name, gone in earlier.items())
        earlier = later
    assert zero_share(net) == pytest.approx(0.8, abs=1e-3)


def test_a_weight_that_happens_to_be_zero_frees_no_masked_one():
    net = fuse_batchnorm(make_net())
    add_masks(net)
    prune(net, 0.5)
    conv = net.convdet
    masked = ~conv.parametrizations.weight[0].kept
    with torch.no_grad():
        conv.parametrizations.weight.original.zero_()
    prune(net, 0.5)
    assert torch.equal(~conv.parametrizations.weight[0].kept, masked)


def test_masks_hold_through_momentum_weight_decay_and_average(net: SqueezeDet):
    """Training begins before the pruning, so that momentum and average know of the weights that go."""
    optimizer, average = make_optimizer(net, 0.05, 1.0, weight_decay=0.1), ModelEma(net, 0.9)
    for step in range(6):
        if step == 3:
            prune(net, 0.7)
            gone = zeros(net)
        optimizer.zero_grad()
        net(pictures()).square().mean().backward()
        optimizer.step()
        average.update(net)
    assert all(torch.equal(now, gone[name]) for name, now in zeros(net).items())
    averaged = copy.deepcopy(net)
    averaged.load_state_dict(average.values)
    assert all(torch.equal(now, gone[name]) for name, now in zeros(averaged).items())
    assert not torch.equal(averaged.convdet.weight, net.convdet.weight)


def test_a_pruned_weight_has_no_gradient(net: SqueezeDet):
    prune(net, 0.5)
    net(pictures()).square().mean().backward()
    for name, conv in convolutions(net).items():
        assert not conv.parametrizations.weight.original.grad[conv.weight == 0].any(), name


def test_masks_come_back_from_a_state_dict(net: SqueezeDet):
    prune(net, 0.5)
    state = copy.deepcopy(net.state_dict())
    again = fuse_batchnorm(make_net())
    add_masks(again)
    again.load_state_dict(state)
    assert all(torch.equal(gone, zeros(net)[name]) for name, gone in zeros(again).items())


SPARSITIES = {"start": (0, 0.0), "a quarter": (25, 0.8 * (1 - 0.75**3)), "half": (50, 0.7), "end": (100, 0.8)}


@pytest.mark.parametrize(("step", "expected"), SPARSITIES.values(), ids=SPARSITIES)
def test_the_cubic_schedule(step: int, expected: float):
    assert cubic_sparsity(step, 100, 0.0, 0.8) == pytest.approx(expected)
    assert cubic_sparsity(250, 100, 0.0, 0.8) == 0.8


def test_the_cubic_schedule_from_a_sparsity_on():
    assert [cubic_sparsity(step, 2, 0.4, 0.8) for step in (0, 1, 2)] == pytest.approx([0.4, 0.75, 0.8])
