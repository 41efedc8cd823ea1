from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from train.compress.prune import add_masks, prune
from train.compress.weight_sharing import SharedWeights, cluster_indices, formula_ratio, share_counts, share_weights
from train.engine.optim import ModelEma, make_optimizer
from train.models import SqueezeDet
from train.models.fuse import convolutions, fuse_batchnorm

from .tiny import make_net, pictures


@pytest.fixture
def pruned() -> SqueezeDet:
    net = fuse_batchnorm(make_net())
    add_masks(net)
    prune(net, 0.5)
    return fuse_batchnorm(net)


def share_all(net: SqueezeDet, bits: int) -> SqueezeDet:
    share_weights(net, share_counts(net, dict.fromkeys(convolutions(net), bits), bits))
    return net


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_a_layer_has_so_many_values_and_zero(pruned: SqueezeDet, bits: int):
    before = {name: conv.weight.detach().clone() for name, conv in convolutions(pruned).items()}
    share_all(pruned, bits)
    for name, conv in convolutions(pruned).items():
        assert 0 in before[name]
        assert len(conv.weight.unique()) == min(2**bits + 1, len(before[name].unique())), name
        assert torch.equal(conv.weight == 0, before[name] == 0), name


def test_figure_3_of_the_paper():
    """Deep Compression, figure 3: 4 x 4 weights, four centroids, their gradients, and the update with rate 1."""
    weight = torch.tensor(
        [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0.0, -1.03], [1.87, 0.0, 1.53, 1.49]]
    )
    gradient = torch.tensor(
        [[-0.03, -0.01, 0.03, 0.02], [-0.01, 0.01, -0.02, 0.12], [-0.01, 0.02, 0.04, 0.01], [-0.07, -0.02, 0.01, -0.02]]
    )
    owner = torch.tensor([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
    shared = SharedWeights(owner + 1, 4)
    centroids = torch.tensor([-1.0, 0.0, 1.5, 2.0], requires_grad=True)
    torch.testing.assert_close(shared.right_inverse(weight), centroids.detach(), rtol=0, atol=5e-3)
    (shared(centroids) * gradient).sum().backward()
    torch.testing.assert_close(centroids.grad, torch.tensor([-0.03, 0.04, 0.02, 0.04]))
    torch.testing.assert_close(centroids.detach() - centroids.grad, torch.tensor([-0.97, -0.04, 1.48, 1.96]))


def test_a_centroids_gradient_is_the_sum_of_its_members(pruned: SqueezeDet):
    """Against autograd on a plain net with the same weights."""
    share_all(pruned, 3)
    plain = fuse_batchnorm(pruned)
    for net in (pruned, plain):
        net(pictures()).square().mean().backward()
    for name, conv in convolutions(pruned).items():
        for kind in conv.parametrizations:
            shared, gradient = conv.parametrizations[kind], getattr(convolutions(plain)[name], kind).grad
            expected = torch.stack([gradient[shared[0].indices == i + 1].sum() for i in range(shared[0].count)])
            torch.testing.assert_close(shared.original.grad, expected, rtol=1e-4, atol=1e-6)


def test_sharing_survives_training_average_and_state_dict(pruned: SqueezeDet):
    share_all(pruned, 3)
    before = {name: (conv.weight == 0, conv.weight.detach().clone()) for name, conv in convolutions(pruned).items()}
    optimizer, average = make_optimizer(pruned, 0.001, 1.0, weight_decay=0.1), ModelEma(pruned, 0.9)
    for _ in range(3):
        optimizer.zero_grad()
        pruned(pictures()).square().mean().backward()
        optimizer.step()
        average.update(pruned)
    averaged = copy.deepcopy(pruned)
    averaged.load_state_dict(average.values)
    for net in (pruned, averaged):
        for name, conv in convolutions(net).items():
            zero, weight = before[name]
            assert torch.equal(conv.weight == 0, zero), name
            assert len(conv.weight.unique()) == len(weight.unique()), name
    assert not torch.equal(pruned.convdet.weight, before["convdet"][1])


def test_centroids_have_no_weight_decay(pruned: SqueezeDet):
    """It would act once on a value that thousands of weights have, beside a gradient that is the sum of thousands."""
    share_weights(pruned, {f"{name}.weight": 4 for name in convolutions(pruned)})
    assert {group["weight_decay"] for group in make_optimizer(pruned, 0.1, 1.0, 0.5).param_groups} == {0.0}


INDICES = {
    "zero stays zero": ([0.0, 1.0, 1.1, 5.0], 2, [0, 1, 1, 2]),
    "no zero": ([1.0, 1.1, 5.0], 2, [1, 1, 2]),
    "negative zero": ([-0.0, 1.0], 2, [0, 1]),
    "all zero": ([0.0, 0.0], 2, [0, 0]),
    "few values": ([3.0, 0.0, -3.0, 3.0], 16, [2, 0, 1, 2]),
}


@pytest.mark.parametrize(("values", "count", "expected"), INDICES.values(), ids=INDICES)
def test_indices(values: list[float], count: int, expected: list[int]):
    indices, used = cluster_indices(np.float32(values), count)
    assert indices.tolist() == expected
    assert used == max(expected)


def test_a_layer_of_zeros_is_left_alone():
    layer = nn.Sequential(nn.Conv2d(2, 2, 1))
    nn.init.zeros_(layer[0].weight)
    share_weights(layer, {"0.weight": 4})
    assert not hasattr(layer[0], "parametrizations")


RATIOS = {
    "the paper's example: 16 weights, 4 clusters": (16, 4, 3.2),
    "many weights, 5 bits": (1_000_000, 32, 32 / (5 + 32 * 32 / 1_000_000)),
    "as many clusters as weights": (64, 64, 64 * 32 / (64 * 6 + 64 * 32)),
    "one value": (10, 1, 10),
}


@pytest.mark.parametrize(("items", "clusters", "expected"), RATIOS.values(), ids=RATIOS)
def test_the_formula(items: int, clusters: int, expected: float):
    assert formula_ratio(items, clusters) == pytest.approx(expected)


def test_biases_are_shared_where_that_makes_them_smaller():
    net = fuse_batchnorm(make_net())
    counts = share_counts(net, dict.fromkeys(convolutions(net), 5), 4)
    for name, conv in convolutions(net).items():
        assert counts[f"{name}.weight"] == 32
        n = conv.bias.numel()
        assert (f"{name}.bias" in counts) == (16 * 32 + 4 * n < 32 * n), name
    assert {name.endswith("weight") for name in share_counts(net, dict.fromkeys(convolutions(net), 5), 0)} == {True}
