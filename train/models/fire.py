"""The Fire module (SqueezeNet, arXiv 1602.07360, section 3.1)."""

from __future__ import annotations

import torch
from torch import nn


def activation(leaky_slope: float) -> nn.Module:
    """ReLU, or LeakyReLU where `leaky_slope` is above 0 (0.01 in the 2017 net)."""
    return nn.LeakyReLU(leaky_slope, inplace=True) if leaky_slope > 0 else nn.ReLU(inplace=True)


class ConvAct(nn.Sequential):
    """Convolution, optional BatchNorm (folded at export), activation. Keeps the size for odd kernels."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, norm: bool, leaky_slope: float) -> None:
        layers = [nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)]
        if norm:
            layers.append(nn.BatchNorm2d(out_channels))
        super().__init__(*layers, activation(leaky_slope))


class Fire(nn.Module):
    """Squeeze to few channels by 1x1, expand by 1x1 and 3x3 side by side: (N, in, H, W) to (N, e1 + e3, H, W)."""

    def __init__(
        self,
        in_channels: int,
        squeeze: int,
        expand1x1: int,
        expand3x3: int,
        *,
        norm: bool = False,
        leaky_slope: float = 0.0,
    ) -> None:
        super().__init__()
        self.out_channels = expand1x1 + expand3x3
        self.squeeze = ConvAct(in_channels, squeeze, 1, norm=norm, leaky_slope=leaky_slope)
        self.expand_1x1 = ConvAct(squeeze, expand1x1, 1, norm=norm, leaky_slope=leaky_slope)
        self.expand_3x3 = ConvAct(squeeze, expand3x3, 3, norm=norm, leaky_slope=leaky_slope)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x)
        return torch.cat([self.expand_1x1(x), self.expand_3x3(x)], dim=1)
