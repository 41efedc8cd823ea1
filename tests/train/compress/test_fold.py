from __future__ import annotations

import pytest
import torch
from torch import nn

from train.compress.fold import convolutions, fold
from train.compress.prune import add_masks, prune
from train.compress.share import share

from .tiny import make_net, pictures

NETS = {
    "norm in the head": {},
    "no norm": {"head_norm": False},
    "conv10 kept": {"conv10_channels": 7},
    "wide squeeze": {"squeeze_factor": 2, "convdet_kernel": 3},
}


@pytest.mark.parametrize("changes", NETS.values(), ids=NETS)
def test_the_folded_net_says_the_same(changes: dict):
    net = make_net(**changes)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert list(convolutions(folded)) == list(convolutions(net))
    with torch.no_grad():
        torch.testing.assert_close(folded(pictures()), net(pictures()), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()), "the net is untouched"


def test_masks_and_shared_weights_become_plain():
    net = fold(make_net())
    add_masks(net)
    prune(net, 0.5)
    masked = fold(net)
    share(masked, {"convdet.weight": 4, "convdet.bias": 3})
    plain = fold(masked)
    assert plain.state_dict().keys() == fold(make_net()).state_dict().keys()
    for name, conv in convolutions(plain).items():
        source = convolutions(masked)[name]
        assert torch.equal(conv.weight, source.weight), name
        assert torch.equal(conv.bias, source.bias), name
