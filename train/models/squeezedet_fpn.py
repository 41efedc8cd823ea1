"""SqueezeDet on four grids: SqueezeNet's features, two Fires of stride 32, and a feature pyramid (arXiv 1612.03144)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sqdet_cv.spec.grid import Grid

from ..common.errors import TrainError
from .fire import ConvAct, Fire
from .raw_output import NO_OBJECT_LOGIT, RawOutput, split_rows
from .squeezenet import FIRES

STRIDES = (8, 16, 32, 64)
MULTIPLE = 32  # of the input's sides: a map of stride 32 is enlarged to the next, which must be twice as large
ANCHOR = 5.0  # side of the one anchor of a cell, in strides
FIRST_NORMED = 4  # fire4: the layers before it keep their biases from ImageNet, and need no norm


@dataclass(frozen=True)
class FpnConfig:
    """The shape of a SqueezeDetFpn; saved in every checkpoint."""

    backbone_fires: tuple[tuple[int, int, int], ...] = tuple(FIRES.values())  # squeeze, expand1x1, expand3x3
    coarse_fires: tuple[tuple[int, int, int], ...] = ((64, 192, 192), (64, 192, 192))  # fire10, fire11 of stride 32
    width: int = 96  # channels of the pyramid from stride 16 on
    fine_width: int = 64  # of stride 8
    norm: bool = True  # BatchNorm from fire4 on, but in the last layers

    def build(self, anchors_per_cell: int, num_classes: int) -> SqueezeDetFpn:
        """The net, with random weights. It has one anchor a cell, whatever is asked for."""
        return SqueezeDetFpn(self, num_classes)

    def with_norms(self, norm: bool) -> FpnConfig:
        """The same shape with BatchNorm, or without."""
        return dataclasses.replace(self, norm=norm)


class PaddedFeatures(nn.Module):
    """conv1 to fire9 of SqueezeNet 1.1: (N, 3, H, W) to the maps of stride 8 (fire5) and 16 (fire9).

    Every convolution and pool is padded by half its kernel, so that cell i of stride s is centred on pixel i * s.
    """

    def __init__(self, fires: tuple[tuple[int, int, int], ...], norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        self.relu_conv1 = nn.ReLU(inplace=True)
        self.pool1, self.pool2, self.pool3 = (_pool() for _ in range(3))
        channels = 64
        for number, widths in enumerate(fires, start=2):
            fire = Fire(channels, *widths, norm=norm and number >= FIRST_NORMED)
            channels = fire.out_channels
            self.add_module(f"fire{number}", fire)
        self.out_channels = (self.fire5.out_channels, channels)
        # In training, another way to compute the stem (`engines.use_fast_stem`), where it does not learn.
        self.fast_stem: Callable[[torch.Tensor], torch.Tensor] | None = None

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """conv1 to the pool before fire4: (N, 3, H, W) to (N, channels, H / 8, W / 8)."""
        x = self.pool1(self.relu_conv1(self.conv1(x)))
        return self.pool2(self.fire3(self.fire2(x)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.fast_stem(x) if self.training and self.fast_stem is not None else self.stem(x)
        stride8 = self.fire5(self.fire4(x))
        stride16 = self.fire9(self.fire8(self.fire7(self.fire6(self.pool3(stride8)))))
        return stride8, stride16


class SqueezeDetFpn(nn.Module):
    """(N, 3, H, W), sides multiples of 32, to the grids of strides 8, 16, 32 and 64, each (N, C + 1 + 4, rows,
    columns): C class logits, a confidence, four deltas to the cell's one anchor. `split` gives a `RawOutput`."""

    anchors_per_cell = 1
    finds_anchors = False

    def __init__(self, config: FpnConfig, num_classes: int) -> None:
        super().__init__()
        self.config, self.num_classes = config, num_classes
        self.features = PaddedFeatures(config.backbone_fires, config.norm)
        channels8, channels = self.features.out_channels
        self.lateral4 = self._conv(channels, config.width)
        self.pool4 = _pool()
        self.coarse = nn.Sequential()
        for number, widths in enumerate(config.coarse_fires, start=10):
            fire = Fire(channels, *widths, norm=config.norm)
            channels = fire.out_channels
            self.coarse.add_module(f"fire{number}", fire)
        half, fine_half = config.width // 2, config.fine_width // 2
        self.lateral5 = self._conv(channels, config.width)
        self.enlarge5, self.mix4 = _enlarge(), Fire(config.width, half, half, half, norm=config.norm)
        self.lateral3, self.reduce4 = (
            self._conv(channels8, config.fine_width),
            self._conv(config.width, config.fine_width),
        )
        self.enlarge4, self.mix3 = _enlarge(), Fire(config.fine_width, *[fine_half] * 3, norm=config.norm)
        self.pool5 = _pool()
        self.heads = nn.ModuleDict()
        for stride in STRIDES:
            width = config.fine_width if stride == STRIDES[0] else config.width
            head = nn.Sequential()
            head.add_module("mix", self._conv(width, width, 3))
            head.add_module("convdet", nn.Conv2d(width, num_classes + 1 + 4, 1))
            self.heads[f"stride{stride}"] = head
        self._initialise()

    def _conv(self, inputs: int, outputs: int, kernel: int = 1) -> ConvAct:
        return ConvAct(inputs, outputs, kernel, norm=self.config.norm, leaky_slope=0.0)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for head in self.heads.values():
            nn.init.normal_(head.convdet.weight, std=0.01)
            nn.init.constant_(head.convdet.bias[self.num_classes : self.num_classes + 1], NO_OBJECT_LOGIT)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        stride8, stride16 = self.features(x)
        p5 = self.lateral5(self.coarse(self.pool4(stride16)))
        p4 = self.mix4(self.lateral4(stride16) + self.enlarge5(p5))
        p3 = self.mix3(self.lateral3(stride8) + self.enlarge4(self.reduce4(p4)))
        maps = (p3, p4, p5, self.pool5(p5))
        return tuple(head(one) for head, one in zip(self.heads.values(), maps))

    def split(self, output: tuple[torch.Tensor, ...]) -> RawOutput:
        """The grids of `forward` as one row per anchor, in the spec's anchor order."""
        rows = torch.cat([grid.float().flatten(2) for grid in output], dim=2).transpose(1, 2)
        return split_rows(rows, self.num_classes)

    def grids_hw(self, input_wh: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each grid for an input size. Raises TrainError for sides that are no multiples of 32."""
        width, height = input_wh
        if width % MULTIPLE or height % MULTIPLE or min(input_wh) < MULTIPLE:
            raise TrainError(f"an input of {width} x {height} px: this net takes multiples of {MULTIPLE} px")
        return tuple((-(-height // stride), -(-width // stride)) for stride in STRIDES)

    def make_grids(self, input_wh: tuple[int, int], anchors_wh: object = None) -> tuple[Grid, ...]:
        """The grids of a `ModelSpec`; the anchors are this net's own."""
        shapes = [((ANCHOR * stride, ANCHOR * stride),) for stride in STRIDES]
        grids = zip(self.grids_hw(input_wh), shapes, STRIDES)
        return tuple(Grid(hw, shape, stride=stride) for hw, shape, stride in grids)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, padding=1)


def _enlarge() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="nearest")
