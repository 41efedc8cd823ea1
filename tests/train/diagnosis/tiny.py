"""A net and images small enough for seconds."""

from __future__ import annotations

import torch
from torch import nn

from train.models import build_net

FIRES = {"backbone_fires": ((4, 6, 6),) * 8, "head_fires": ((4, 6, 6),)}


def small_net(**changes: object) -> nn.Module:
    torch.manual_seed(0)
    return build_net("squeezedet", 2, 3, **(FIRES | changes))


def images(count: int = 3, size: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 50
