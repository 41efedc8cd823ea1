"""SqueezeDet (arXiv 1612.01051): SqueezeNet features, a few more Fires, and ConvDet, on any grid and class list."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sqdet_cv.spec.grid import Grid

from ..common.errors import TrainError
from .fire import Fire, activation
from .raw_output import NO_OBJECT_LOGIT, RawOutput
from .squeezenet import SqueezeNetFeatures


@dataclass(frozen=True)
class NetConfig:
    """The shape of a SqueezeDet; saved in every checkpoint."""

    backbone: str = "1.1"  # SqueezeNet version: "1.0" or "1.1"
    squeeze_factor: int = 1  # the backbone's squeeze channels, times this: 6 in SqueezeDet+ (ratio 0.75, not 0.125)
    backbone_fires: tuple[tuple[int, int, int], ...] = ()  # as head_fires, of fire2 ... fire9; (): that version's own
    head_fires: tuple[tuple[int, int, int], ...] = ((96, 384, 384), (96, 384, 384))  # squeeze, expand1x1, expand3x3
    backbone_norm: bool = False  # BatchNorm in fire2 ... fire9
    head_norm: bool = False  # BatchNorm in the head's Fires
    convdet_kernel: int = 3  # 1 or 3
    convdet_padding: int = 1  # 0 with kernel 3 cuts a ring of cells off: the 2017 net (416 px, 23 x 23 cells)
    conv10_channels: int = 0  # the classifier's last layer kept between features and head: 1000 in the 2017 net
    leaky_slope: float = 0.0  # 0: ReLU
    dropout: float = 0.5  # before ConvDet

    def build(self, anchors_per_cell: int, num_classes: int) -> SqueezeDet:
        """The net, with random weights."""
        return SqueezeDet(self, anchors_per_cell, num_classes)

    def with_norms(self, norm: bool) -> NetConfig:
        """The same shape with BatchNorm in all Fires, or without."""
        return dataclasses.replace(self, backbone_norm=norm, head_norm=norm)


class SqueezeDet(nn.Module):
    """(N, 3, H, W) to (N, K * (C + 1 + 4), rows, columns); `split` turns that into a `RawOutput`.

    The channels are those of the paper's and the 2017 code: first K*C class logits (shape by shape), then K
    confidences, then K*4 deltas.
    """

    finds_anchors = True  # from the boxes of the images

    def __init__(self, config: NetConfig, anchors_per_cell: int, num_classes: int) -> None:
        super().__init__()
        self.config, self.anchors_per_cell, self.num_classes = config, anchors_per_cell, num_classes
        self.features = SqueezeNetFeatures(
            config.backbone, config.leaky_slope, config.squeeze_factor, config.backbone_fires, config.backbone_norm
        )
        channels = self.features.out_channels
        if config.conv10_channels:
            self.conv10 = nn.Sequential(nn.Conv2d(channels, config.conv10_channels, 1), activation(config.leaky_slope))
            channels = config.conv10_channels
        else:
            self.conv10 = nn.Identity()
        self.head = nn.Sequential()
        for i, widths in enumerate(config.head_fires):
            fire = Fire(channels, *widths, norm=config.head_norm, leaky_slope=config.leaky_slope)
            channels = fire.out_channels
            self.head.add_module(f"fire{10 + i}", fire)
        self.dropout = nn.Dropout(config.dropout)
        outputs = anchors_per_cell * (num_classes + 1 + 4)
        self.convdet = nn.Conv2d(channels, outputs, config.convdet_kernel, padding=config.convdet_padding)
        self._initialise_head()

    def _initialise_head(self) -> None:
        for module in self.head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.convdet.weight, std=0.01)
        nn.init.zeros_(self.convdet.bias)
        first = self.anchors_per_cell * self.num_classes
        nn.init.constant_(self.convdet.bias[first : first + self.anchors_per_cell], NO_OBJECT_LOGIT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convdet(self.dropout(self.head(self.conv10(self.features(x)))))

    def split(self, output: torch.Tensor) -> RawOutput:
        """The grid of `forward` as one row per anchor, in the spec's anchor order."""
        k, c = self.anchors_per_cell, self.num_classes
        n, output = output.shape[0], output.float()
        classes, confidence, deltas = output.permute(0, 2, 3, 1).split([k * c, k, k * 4], dim=3)
        return RawOutput(deltas.reshape(n, -1, 4), classes.reshape(n, -1, c), confidence.reshape(n, -1))

    @torch.no_grad()
    def grid_hw(self, input_wh: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the output grid for an input size."""
        parameter = next(self.parameters())
        was_training = self.training
        self.eval()
        try:
            output = self(torch.zeros(1, 3, input_wh[1], input_wh[0], dtype=parameter.dtype, device=parameter.device))
        except RuntimeError:
            raise TrainError(f"an input of {input_wh[0]} x {input_wh[1]} px is too small for this net") from None
        finally:
            self.train(was_training)
        return output.shape[2], output.shape[3]

    def grids_hw(self, input_wh: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each of its grids, of which it has one."""
        return (self.grid_hw(input_wh),)

    def make_grids(self, input_wh: tuple[int, int], anchors_wh: Sequence[tuple[float, float]]) -> tuple[Grid, ...]:
        """The grids of a `ModelSpec` with these anchor shapes in input pixels."""
        return (Grid(self.grid_hw(input_wh), tuple(anchors_wh), inset=self.grid_inset),)

    @property
    def grid_inset(self) -> int:
        """How many rings of cells an unpadded ConvDet cuts off (Grid.inset)."""
        return self.config.convdet_kernel // 2 - self.config.convdet_padding
