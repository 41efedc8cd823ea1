"""SqueezeNet v1.0 and v1.1 (arXiv 1602.07360; DeepScale's Caffe definitions), as features and as classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .fire import Fire, activation

# squeeze, expand 1x1, expand 3x3 of fire2 ... fire9; the same in both versions
FIRES = {
    "fire2": (16, 64, 64),
    "fire3": (16, 64, 64),
    "fire4": (32, 128, 128),
    "fire5": (32, 128, 128),
    "fire6": (48, 192, 192),
    "fire7": (48, 192, 192),
    "fire8": (64, 256, 256),
    "fire9": (64, 256, 256),
}


@dataclass(frozen=True)
class Layout:
    """What differs between the versions: the first convolution, where to pool, and the padding of conv10."""

    conv1_channels: int
    conv1_kernel: int
    pool_after: tuple[str, ...]
    conv10_padding: int


LAYOUTS = {
    "1.0": Layout(96, 7, ("conv1", "fire4", "fire8"), conv10_padding=1),
    "1.1": Layout(64, 3, ("conv1", "fire3", "fire5"), conv10_padding=0),
}


class SqueezeNetFeatures(nn.Sequential):
    """conv1 to fire9: (N, 3, H, W) to (N, out_channels, about H/16, about W/16); 512 channels in the papers' layouts.

    conv1 is unpadded and the pools round up, as in Caffe: 416 px gives 25 cells, 320 px gives 19, and the cells'
    centres are then 16 px apart and symmetric in the image, which is the anchor rule of the paper.

    Args:
        fires: squeeze, expand 1x1, expand 3x3 of each of FIRES instead of the layout's own; `squeeze_factor` is part of
            them then. Empty: the layout's own.
        norm: BatchNorm in the Fires, which the papers' nets do not have.
    """

    def __init__(
        self,
        version: str = "1.1",
        leaky_slope: float = 0.0,
        squeeze_factor: int = 1,
        fires: Sequence[tuple[int, int, int]] = (),
        norm: bool = False,
    ) -> None:
        if version not in LAYOUTS:
            raise ValueError(f"SqueezeNet version {version!r}, expected one of {', '.join(LAYOUTS)}")
        layout = LAYOUTS[version]
        fires = fires or [(squeeze * squeeze_factor, *expands) for squeeze, *expands in FIRES.values()]
        widths = dict(zip(FIRES, fires, strict=True))
        super().__init__()
        self.add_module("conv1", nn.Conv2d(3, layout.conv1_channels, layout.conv1_kernel, stride=2))
        self.add_module("relu_conv1", activation(leaky_slope))
        channels = layout.conv1_channels
        pools = 0
        for name in ("conv1", *FIRES):
            if name in FIRES:
                fire = Fire(channels, *widths[name], norm=norm, leaky_slope=leaky_slope)
                channels = fire.out_channels
                self.add_module(name, fire)
            if name in layout.pool_after:
                pools += 1
                self.add_module(f"pool{pools}", nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.out_channels = channels


class SqueezeNet(nn.Module):
    """The classifier: (N, 3, H, W) to (N, num_classes) logits. The papers' input is 227 x 227 BGR minus the mean."""

    def __init__(
        self, version: str = "1.1", num_classes: int = 1000, dropout: float = 0.5, leaky_slope: float = 0.0
    ) -> None:
        super().__init__()
        self.features = SqueezeNetFeatures(version, leaky_slope)
        self.dropout = nn.Dropout(dropout)
        self.conv10 = nn.Conv2d(512, num_classes, 1, padding=LAYOUTS[version].conv10_padding)
        self.relu_conv10 = activation(leaky_slope)
        self.pool10 = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.features(x))
        return self.pool10(self.relu_conv10(self.conv10(x))).flatten(1)


PIXEL_DEVIATION = 64  # of images' values (0-255) about the mean, roughly


def initialize_weights(net: SqueezeNet) -> None:
    """Random weights for training from scratch: variance 2 / fan-in and no bias (He et al., arXiv 1502.01852), so that
    the signal neither dies nor grows on its way through the ReLUs. Two layers differ:

    - conv1 divides by the deviation of the pixels;
    - conv10 has the 2017 definition's standard deviation of 0.01, and a bias of 1. The softmax ignores the bias, but it
      keeps the scores above 0, where the ReLU after conv10 passes gradients on: without it nets lose a class, or all,
      for good in their first steps.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        net.features.conv1.weight /= PIXEL_DEVIATION
    nn.init.normal_(net.conv10.weight, std=0.01)
    nn.init.constant_(net.conv10.bias, 1.0)
