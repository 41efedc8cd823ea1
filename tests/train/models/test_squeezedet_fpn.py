from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sqdet_cv.spec.detector_spec import ModelSpec
from train.common.errors import TrainError
from train.models import FpnConfig, SqueezeDetFpn, config_from_dict, config_to_dict

STRIDES = (8, 16, 32, 64)
NARROW = FpnConfig(backbone_fires=((8, 16, 16),) * 8, coarse_fires=((8, 16, 16),) * 2, width=16, fine_width=8)


def test_the_parameters_are_the_trials():
    assert sum(parameter.numel() for parameter in SqueezeDetFpn(FpnConfig(), 20).parameters()) == 1_474_884


@pytest.mark.parametrize("input_wh", [(256, 256), (288, 288), (352, 288), (416, 416), (32, 64)], ids=str)
def test_the_grids_are_those_of_the_forward_pass(input_wh: tuple[int, int]):
    """288 and 352 px are no multiples of 64."""
    net = SqueezeDetFpn(NARROW, 3).eval()
    with torch.no_grad():
        grids = net(torch.zeros(2, 3, input_wh[1], input_wh[0]))
    assert [tuple(grid.shape) for grid in grids] == [(2, 8, *hw) for hw in net.grids_hw(input_wh)]
    spec = ModelSpec(("a", "b", "c"), input_wh, net.make_grids(input_wh))
    assert net.split(grids).deltas.shape == (2, spec.num_anchors, 4)


@pytest.mark.parametrize("input_wh", [(300, 320), (320, 0), (16, 32)], ids=str)
def test_other_sizes_are_refused(input_wh: tuple[int, int]):
    with pytest.raises(TrainError, match=f"{input_wh[0]} x {input_wh[1]} px: this net takes multiples of 32"):
        SqueezeDetFpn(NARROW, 3).grids_hw(input_wh)


@pytest.mark.slow
@pytest.mark.parametrize("level", range(4), ids=[f"stride {stride}" for stride in STRIDES])
def test_anchors_lie_where_the_cells_look(level: int):
    """The centre of the pixels that a cell depends on is the pixel at its anchor's centre.

    All weights are made positive and pools averages, so that the gradient reaches the whole field. What comes down from
    a coarser grid is left out: its cells lie between those of the finer one.
    """
    net = SqueezeDetFpn(NARROW, 1).double().eval()
    for parameter in net.parameters():
        nn.init.constant_(parameter, 0.01)
    for owner, name in [(net.features, f"pool{i}") for i in (1, 2, 3)] + [(net, "pool4"), (net, "pool5")]:
        setattr(owner, name, nn.AvgPool2d(3, stride=2, padding=1))
    for module in (net.enlarge4, net.enlarge5):
        module.register_forward_hook(lambda *given: 0 * given[-1])
    size, stride = 1024, STRIDES[level]
    grid = net.make_grids((size, size))[level]
    image = torch.ones((1, 3, size, size), dtype=torch.float64, requires_grad=True)
    row, column = grid.hw[0] // 2, grid.hw[1] // 2 - 1
    net(image)[level][0, :, row, column].sum().backward()
    field = image.grad[0].sum(dim=0).numpy()
    cx, cy, w, h = grid.anchors_cxcywh((size, size)).reshape(*grid.hw, 4)[row, column]
    assert (w, h) == (5 * stride, 5 * stride)
    assert np.average(np.arange(size), weights=field.sum(axis=0)) == pytest.approx(cx, abs=0.3)
    assert np.average(np.arange(size), weights=field.sum(axis=1)) == pytest.approx(cy, abs=0.3)


def test_split_order_is_an_explicit_loop():
    """Channels: class logits, confidence, deltas; the finest grid first, row by row, as the spec's anchors."""
    net = SqueezeDetFpn(NARROW, 2)
    hws = net.grids_hw((96, 64))
    output = tuple(torch.randn(2, 7, *hw) for hw in hws)
    raw, anchor = net.split(output), 0
    for grid, (rows, columns) in zip(output, hws):
        for row, column in np.ndindex(rows, columns):
            for n in range(2):
                cell = grid[n, :, row, column]
                torch.testing.assert_close(raw.class_logits[n, anchor], cell[:2])
                torch.testing.assert_close(raw.confidence_logits[n, anchor], cell[2])
                torch.testing.assert_close(raw.deltas[n, anchor], cell[3:])
            anchor += 1
    assert anchor == raw.deltas.shape[1]


def test_an_untrained_net_says_no_object_with_one_percent():
    torch.manual_seed(0)
    net = SqueezeDetFpn(NARROW, 20).eval()
    with torch.no_grad():
        confidence = net.split(net(torch.randn(1, 3, 64, 64))).confidence_logits.sigmoid()
    assert confidence.median().item() == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("config", [NARROW, FpnConfig(norm=False)], ids=["narrow", "without norms"])
def test_a_shape_goes_through_a_checkpoint(config: FpnConfig):
    assert config_from_dict(config_to_dict(config)) == config
