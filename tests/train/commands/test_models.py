from __future__ import annotations

import pytest
import torch
from torch import nn

from train.__main__ import main
from train.models import NETS, SqueezeNet, build_net
from train.models.profile import count_macs


def _fire_macs(cells: int, channels: int, squeeze: int, one: int, three: int) -> int:
    return cells * (channels * squeeze + squeeze * one + 9 * squeeze * three)


def test_macs_of_squeezenet_by_hand():
    """227 px: conv1 gives 113 x 113, the pools 56 x 56, 28 x 28 and 14 x 14 (rounding up)."""
    expected = 113**2 * 64 * 3 * 3**2
    expected += _fire_macs(56**2, 64, 16, 64, 64) + _fire_macs(56**2, 128, 16, 64, 64)
    expected += _fire_macs(28**2, 128, 32, 128, 128) + _fire_macs(28**2, 256, 32, 128, 128)
    expected += _fire_macs(14**2, 256, 48, 192, 192) + _fire_macs(14**2, 384, 48, 192, 192)
    expected += _fire_macs(14**2, 384, 64, 256, 256) + _fire_macs(14**2, 512, 64, 256, 256)
    expected += 14**2 * 512 * 1000
    assert count_macs(SqueezeNet("1.1"), (227, 227)) == expected


def test_convdet_is_40_percent_of_the_papers_net():
    """At K=9, C=20: 3 x 3 x 768 x 225 for each cell."""
    net = build_net("squeezedet", 9, 20)
    share = 25 * 25 * 9 * 768 * 225 / count_macs(net, (416, 416))
    assert share == pytest.approx(0.40, abs=0.005)


def test_counting_leaves_no_trace():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1))
    assert count_macs(net, (10, 8)) == 8 * 6 * (4 * 27 + 8 * 4)
    assert net.training
    assert torch.equal(net[1].running_mean, torch.zeros(4))
    assert not net[0]._forward_hooks


@pytest.mark.slow
def test_the_table_has_a_row_for_each_net(capsys):
    assert main(["models", "--shapes", "9", "--classes", "20"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == "| net | input | parameters | GMAC | float32 | source |"
    cells = {row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in rows}
    assert list(cells) == [*NETS, "squeezenet-1.0", "squeezenet-1.1"]
    assert cells["squeezedet"][:2] == ["1242 x 375", "3,139,809"]
    assert cells["squeezedet"][3] == "12.56 MB"
    assert cells["squeezedet-2017"][:2] == ["416 x 416", "3,712,585"]
    assert cells["squeezenet-1.0"][1] == "1,248,424"


@pytest.mark.parametrize(
    ("word", "name"),
    [("shapes", "anchors-per-cell"), ("anchors-per-cell", "anchors-per-cell"), ("classes", "classes")],
)
def test_errors_are_one_line(capsys, word: str, name: str):
    assert main(["models", f"--{word}", "0"]) == 2
    assert capsys.readouterr().err == f"error: --{name} 0: expected 1 or more\n"
