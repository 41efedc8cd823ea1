from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from train.compress.prune import add_masks, prune
from train.compress.weight_sharing import share_weights
from train.diagnosis.activations import BIN_EDGES, BINS, histogram, measure
from train.diagnosis.layers import activations, layer_name
from train.models import NETS, SqueezeNet, build_net
from train.models.fuse import convolutions, fuse_batchnorm

from .tiny import images, small_net


def index(found, layer: str) -> int:
    return found.layers.index(layer)


def test_layers_are_called_as_in_the_net():
    net = build_net("squeezedet-2017", 2, 3)
    names = list(activations(net))
    assert names[:4] == ["conv1", "fire2.squeeze", "fire2.expand_1x1", "fire2.expand_3x3"]
    assert names[-1] == "fire11.expand_3x3" and "conv10" in names
    assert [layer_name(path) for path in convolutions(net)] == [*names, "convdet"]


@pytest.mark.parametrize("name", NETS)
def test_every_net_is_measured_where_its_convolutions_are(name: str):
    found = measure(build_net(name, 2, 3), images(1, 96))
    convs = convolutions(build_net(name, 2, 3))
    wide = [conv.out_channels for path, conv in convs.items() if not path.endswith("convdet")]
    assert found.units.tolist() == wide
    assert found.finite.all()


def test_a_classifier_is_measured_too():
    assert "conv10" in measure(SqueezeNet("1.1", 5), images(1)).layers


def test_histograms_are_those_of_numpy():
    net = small_net().eval()
    pictures = images(11, 20)  # conv1's maps are 9 x 9, of which every second position counts; more than one chunk
    found = measure(net, pictures)
    with torch.no_grad():
        before = net.features.conv1(pictures)
    for layer, values in {
        "conv1": before[:, :, ::2, ::2],
        "fire2.squeeze": net.features.fire2.squeeze[0](net.features.pool1(before.relu())),
    }.items():
        values = values.detach().numpy().ravel()
        assert max(abs(values)) < -BIN_EDGES[0]
        # NumPy's bins hold their lower border and ours the upper: so it counts the negatives
        expected = np.histogram(-values, -BIN_EDGES[::-1])[0][::-1]
        row = found.histograms[index(found, layer)]
        assert row.sum() == len(values)
        assert abs(row - expected).sum() <= 4, "but for roundings of the convolution"


def test_zero_is_not_let_through_and_nothing_is_lost_beyond_the_last_bins():
    counts = histogram(torch.tensor([0.0, -0.0, 1e-9, 1e9, -1e9, torch.nan]))
    assert counts[BINS // 2 - 1] == 2 and counts[BINS // 2] == 1
    assert counts[0] == counts[-1] == 1 and counts.sum() == 5
    assert BIN_EDGES[BINS // 2] == 0


def test_known_channels_are_dead():
    net = small_net()
    with torch.no_grad():
        net.features.conv1.weight[[3, 5]] = 0
        net.features.conv1.bias[3], net.features.conv1.bias[5] = -1.0, 1.0  # 5 is constant, but it fires
        net.head.fire10.expand_3x3[0].weight[:] = 0
        net.head.fire10.expand_3x3[0].bias[:] = torch.tensor([-1.0, 0, -1, -1, -1, 2])  # 0 has no gradient either
    found = measure(net, images())
    (conv1,) = found.dead[[index(found, "conv1")]]
    others = [channel for channel in range(64) if channel not in (3, 5)]
    with torch.no_grad():
        highest = net.features.conv1(images()).amax(dim=(0, 2, 3))
    assert conv1 == pytest.approx((1 + sum(highest[channel].item() <= 0 for channel in others)) / 64)
    assert found.dead[index(found, "fire10.expand_3x3")] == pytest.approx(5 / 6)


@pytest.mark.parametrize("place", [0, 8])
def test_one_position_of_one_picture_keeps_a_unit_alive(place: int):
    net, pictures = small_net(), torch.zeros(9, 3, 64, 64)  # the ninth is a chunk of its own
    pictures[place, :, 11:14, 21:24] = 10.0
    with torch.no_grad():
        net.features.conv1.weight[:] = 1.0
        net.features.conv1.bias[:] = -0.1
    found = measure(net, pictures)
    assert found.silent[0] == 0
    assert not found.histograms[0, BINS // 2 :].any(), "rows 5 and 6 are none that the histogram counts"
    assert measure(net, torch.zeros(9, 3, 64, 64)).silent[0] == 1


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.1])
def test_dead_is_what_autograd_gives_no_gradient(slope: float):
    net, pictures = small_net(leaky_slope=slope, dropout=0.0), images()
    layer = net.head.fire10.expand_1x1
    with torch.no_grad():
        layer[0].bias -= torch.tensor([0.0, 1e4, 0, 1e4, 0, 0])
    found = measure(net, pictures)
    out = net.eval()(pictures)
    (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    without = (layer[0].weight.grad.abs().amax(dim=(1, 2, 3)) == 0) & (layer[0].bias.grad == 0)
    i = index(found, "fire10.expand_1x1")
    assert found.dead[i] == pytest.approx(without.float().mean().item())
    assert found.silent[i] >= 2 / 6 - 1e-6
    assert found.dead.any() == (slope == 0)


@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_left_as_it_was(training: bool):
    net = small_net(head_norm=True).train(training)
    net.features.fire2.eval()  # as if frozen
    before = copy.deepcopy(net.state_dict())
    modes = [module.training for module in net.modules()]
    torch.manual_seed(5)
    measure(net, images())
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(5)), "no random number is drawn"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_hooks_are_removed_after_an_error_too():
    net = small_net()
    with pytest.raises(RuntimeError):
        measure(net, torch.zeros(1, 4, 64, 64))
    assert not any(module._forward_pre_hooks for module in net.modules())
    assert net.training


def test_pruned_and_shared_nets_are_what_they_compute():
    net = fuse_batchnorm(small_net(head_norm=True))
    expected = measure(net, images())
    add_masks(net)
    same = measure(net, images())
    assert same.layers == expected.layers
    assert (same.histograms == expected.histograms).all() and (same.silent == expected.silent).all()
    prune(net, 0.8)
    pruned = measure(net, images())
    plain = fuse_batchnorm(net)
    assert (pruned.histograms == measure(plain, images()).histograms).all()
    share_weights(plain, {"features.conv1.weight": 4})
    assert measure(plain, images()).layers == expected.layers


def test_values_that_are_not_finite_are_noticed():
    net = small_net()
    with torch.no_grad():
        net.head.fire10.squeeze[0].bias[1] = torch.inf
    found = measure(net, images())
    assert [layer for layer, finite in zip(found.layers, found.finite) if not finite][0] == "fire10.squeeze"
