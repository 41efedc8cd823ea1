from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from tests.train.diagnosis.tiny import images, small_net
from train.compress.prune import add_masks, prune
from train.compress.weight_sharing import share_weights
from train.data.cache import read_image
from train.diagnosis import activation_plots, weight_plots
from train.diagnosis.activation_plots import plot_activations, plot_dead_units
from train.diagnosis.activations import measure
from train.diagnosis.history import History
from train.diagnosis.weight_plots import TILE, filter_tiles, plot_conv1_filters, plot_weights
from train.models.fuse import convolutions, fuse_batchnorm


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, in order."""
    figures: list[Figure] = []
    for module in (activation_plots, weight_plots):
        real = module.save
        monkeypatch.setattr(
            module, "save", lambda figure, path, real=real: (figures.append(figure), real(figure, path))
        )
    return figures


def layers_of(net: nn.Module) -> nn.Module:
    """The first five convolutions: a panel takes matplotlib long."""
    return nn.Sequential(OrderedDict((name, net.features.get_submodule(name)) for name in FIRST))


FIRST = ("conv1", "relu_conv1", "pool1", "fire2")


def history(epochs: int, slope: float = 0.0) -> History:
    net, found = small_net(leaky_slope=slope), History()
    for epoch in range(1, epochs + 1):
        found = found.with_epoch(epoch, measure(layers_of(net), images()))
        with torch.no_grad():
            net.features.fire2.squeeze[0].bias -= 1e6
    return found


def panels(figure: Figure) -> dict[str, object]:
    return {re.split("[:\\n]", axes.get_title())[0]: axes for axes in figure.axes}


def test_filters_show_their_own_colours():
    weight = np.zeros((4, 3, 3, 3), np.float32)
    weight[0, 0, 0, 0] = 0.5  # blue in the upper left corner
    weight[1, 2, 2, 1] = 2.0  # red in the middle below
    weight[1, 1, 0, 0] = -2.0
    weight[3, 0] = 0.002  # a thousandth of the strongest
    blue, red, nothing, faint = filter_tiles(weight)
    assert blue.shape == (TILE, TILE, 3)
    assert blue[0, 0].tolist() == [255, 128, 128] and (blue[TILE // 2, TILE // 2] == 128).all()
    assert red[-1, TILE // 2].tolist() == [128, 128, 255] and red[0, 0].tolist() == [128, 0, 128]
    assert (nothing == 128).all()
    assert abs(faint.astype(int) - 128).max() <= 2


def test_the_picture_of_conv1_is_in_true_colours(tmp_path: Path):
    net = small_net()
    with torch.no_grad():
        net.features.conv1.weight[:] = 0
        net.features.conv1.weight[:, 2] = 1.0  # red
    path = tmp_path / "new" / "conv1_filters.png"
    plot_conv1_filters(path, net)
    pixels, counts = np.unique(read_image(path).reshape(-1, 3), axis=0, return_counts=True)
    most = pixels[counts.argsort()[-2:]].tolist()  # white and, in B, G, R:
    assert [255, 255, 255] in most and [128, 128, 255] in most


@pytest.mark.slow
def test_pruned_and_shared_weights_are_seen(tmp_path: Path, drawn: list[Figure]):
    net = fuse_batchnorm(small_net())
    for conv in convolutions(net).values():  # each loses as many
        add_masks(alone := nn.Sequential(conv))
        prune(alone, 0.75)
    plot_weights(tmp_path / "weights.png", layers_of(net))
    plain = fuse_batchnorm(net)
    share_weights(plain, {"features.fire2.squeeze.0.weight": 4})
    plot_weights(tmp_path / "weights.png", layers_of(plain))
    pruned, shared = map(panels, drawn)
    assert list(pruned)[:2] == ["conv1", "fire2.squeeze"]
    assert pruned["conv1"].get_title() == "conv1\n75 % zero"
    assert shared["fire2.squeeze"].get_title() == "fire2.squeeze\n4 values, 75 % zero"
    lines, zeros = shared["fire2.squeeze"].collections
    heights = [segment[1, 1] for segment in lines.get_segments()]
    assert len(heights) == 4 and sum(heights) == 64  # a quarter of 4 x 64
    assert zeros.get_segments()[0][:, 0].tolist() == [0, 0] and zeros.get_segments()[0][1, 1] == 192
    (steps,) = pruned["conv1"].patches
    assert sum(steps.get_data().values) == 64 * 27 * 0.25
    assert drawn[0].get_suptitle().endswith("75.0 % of them zero (red)")


def test_activations_over_time_and_of_one_epoch(tmp_path: Path, drawn: list[Figure]):
    path = tmp_path / "new" / "activations.png"
    for epochs in (1, 3):
        plot_activations(path, history(epochs))
        assert min(read_image(path).shape[:2]) > 300
    one, three = map(panels, drawn)
    (steps,) = one["conv1"].patches
    assert sum(steps.get_data().values) == pytest.approx(100)
    counts = history(3).measurements[2].histograms[0]
    column = three["conv1"].collections[0].get_array()[:, 2] ** 2
    np.testing.assert_allclose(column, counts / counts.sum(), atol=1e-12)
    assert three["fire2.squeeze"].get_title() == "fire2.squeeze: 100 % dead"


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_dead_units_layer_by_epoch(tmp_path: Path, drawn: list[Figure], slope: float):
    found = history(3, slope)
    plot_dead_units(tmp_path / "dead_units.png", found)
    maps = [axes for axes in drawn[0].axes if axes.get_xlabel() == "epoch"]
    assert len(maps) == (2 if slope else 1)
    for axes, shares in zip(maps, (found.dead(), found.silent())):
        np.testing.assert_allclose(axes.collections[0].get_array(), 100 * shares.T)
    assert (found.dead().max() == 0) == (slope > 0)
    assert found.silent()[1:, 1].tolist() == [1, 1]
    assert cv2.imread(str(tmp_path / "dead_units.png")) is not None
