"""A net small enough for seconds, trained by nobody."""

from __future__ import annotations

import torch
from torch import nn

from train.models import NetConfig, SqueezeDet

CONFIG = NetConfig(head_fires=((8, 12, 12),), head_norm=True, convdet_kernel=1, convdet_padding=0, dropout=0.0)


def make_net(**changes: object) -> SqueezeDet:
    """In evaluation mode; its norms have seen images."""
    torch.manual_seed(0)
    net = SqueezeDet(NetConfig(**(vars(CONFIG) | changes)), 2, 5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -2, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.1, 3)
    return net.eval()


def pictures(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))
