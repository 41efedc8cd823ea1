from __future__ import annotations

import pytest
import torch
from torch import nn

from train.compress.prune import add_masks, prune
from train.compress.weight_sharing import share_weights
from train.models.fuse import convolutions, fuse_batchnorm, fused_weights, unfuse_batchnorm

from ..compress.tiny import make_net, pictures

NETS = {
    "norm in the head": {},
    "no norm": {"head_norm": False},
    "conv10 kept": {"conv10_channels": 7},
    "wide squeeze": {"squeeze_factor": 2, "convdet_kernel": 3},
    "norms everywhere": {"backbone_norm": True},
}


@pytest.mark.parametrize("changes", NETS.values(), ids=NETS)
def test_the_folded_net_says_the_same(changes: dict):
    net = make_net(**changes)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fuse_batchnorm(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert list(convolutions(folded)) == list(convolutions(net))
    with torch.no_grad():
        torch.testing.assert_close(folded(pictures()), net(pictures()), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()), "the net is untouched"


@pytest.mark.parametrize("changes", NETS.values(), ids=NETS)
def test_folded_weights_are_those_of_the_folded_net(changes: dict):
    net = make_net(**changes)
    folded = convolutions(fuse_batchnorm(net))
    for name, weight in fused_weights(net).items():
        assert torch.equal(weight, folded[name].weight), name


@pytest.mark.parametrize("changes", NETS.values(), ids=NETS)
def test_with_norms_again_the_net_says_the_same_and_can_be_trained(changes: dict):
    net = fuse_batchnorm(make_net(**changes))
    with torch.no_grad():
        net.features.fire5.squeeze[0].weight[3] = 0.0
    batches = [pictures(4), pictures(4) * 2]
    normed = unfuse_batchnorm(net, batches)
    norms = [name for name, module in normed.named_modules() if isinstance(module, nn.BatchNorm2d)]
    in_fires = [name for name in convolutions(net) if "fire" in name]
    assert norms == [f"{name.removesuffix('.0')}.1" for name in in_fires]
    with torch.no_grad():
        torch.testing.assert_close(normed(batches[0]), net(batches[0]), rtol=1e-3, atol=1e-3)
        expected = net(torch.cat(batches))  # the batch that the moments are of
        torch.testing.assert_close(normed.train()(torch.cat(batches)), expected, rtol=1e-2, atol=1e-2)
    assert not normed.features.fire5.squeeze[0].weight[3].any(), "what is zero stays zero"


def test_masks_and_shared_weights_become_plain():
    net = fuse_batchnorm(make_net())
    add_masks(net)
    prune(net, 0.5)
    masked = fuse_batchnorm(net)
    share_weights(masked, {"convdet.weight": 4, "convdet.bias": 3})
    plain = fuse_batchnorm(masked)
    assert plain.state_dict().keys() == fuse_batchnorm(make_net()).state_dict().keys()
    for name, conv in convolutions(plain).items():
        source = convolutions(masked)[name]
        assert torch.equal(conv.weight, source.weight), name
        assert torch.equal(conv.bias, source.bias), name
