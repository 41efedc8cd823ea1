"""Images of a net's weights: conv1_filters.png and weights.png."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch import nn

from ..common.plotting import BLUE, RED, make_figure, make_panels, save, sheet
from ..models.fuse import convolutions
from ..models.profile import zero_share
from .layers import layer_name

TILE = 56  # pixels of a filter's side in the image: whole multiples of 7 and of 8
FILTER_COLUMNS = 16
FAINT = 0.1  # a filter below this share of the strongest is drawn pale, or noise would look like structure
BINS = 81
MOST_SHARED = 256  # distinct values up to which a layer's weights are shared, each drawn for itself: 8 bits


def filter_tiles(weight: np.ndarray) -> list[np.ndarray]:
    """(N, 3, k, k) filters over B, G, R to N images (TILE, TILE, 3) uint8 BGR. Mid-grey is 0, and each filter is as
    bright as it can be: an image of what excites it, in its true colours."""
    strongest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    scale = np.maximum(np.maximum(strongest, FAINT * strongest.max()), 1e-12)
    tiles = np.uint8(np.round(127.5 + 127.5 * weight / scale)).transpose(0, 2, 3, 1)
    return [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_NEAREST) for tile in tiles]


def plot_conv1_filters(path: str | Path, net: nn.Module) -> None:
    """The filters of the net's first convolution, in the order of its channels."""
    conv = next(iter(convolutions(net).values()))
    weight = conv.weight.detach().cpu().numpy()
    page = cv2.cvtColor(sheet(filter_tiles(weight), FILTER_COLUMNS), cv2.COLOR_BGR2RGB)
    height, width = page.shape[:2]
    figure = make_figure(width / 100 + 0.3, height / 100 + 0.6)
    axes = figure.subplots()
    axes.imshow(page, interpolation="nearest")
    axes.axis("off")
    count, _, rows, columns = weight.shape
    axes.set_title(
        f"conv1: {count} filters of {rows} x {columns}; grey is 0, colours are what excites a filter", fontsize=11
    )
    save(figure, path)


def plot_weights(path: str | Path, net: nn.Module) -> None:
    """A panel a convolution: how many of its weights have which value, on a logarithmic axis. Zeros are a red bar of
    their own; where few distinct values are left, each is a line."""
    layers = convolutions(net)
    figure, panels = make_panels(len(layers))
    for panel, (path_in_net, conv) in zip(panels, layers.items()):
        weight = conv.weight.detach().float().cpu().numpy().ravel()
        other = weight[weight != 0]
        zeros = len(weight) - len(other)
        notes = []
        largest = float(np.abs(other).max(initial=0)) or 1.0
        values, counts = np.unique(other, return_counts=True)
        if 0 < len(values) <= MOST_SHARED and len(values) < len(other):
            panel.vlines(values, 0.5, counts, color=BLUE, linewidth=0.8)
            notes.append(f"{len(values)} values")
        else:
            # An odd number of bins: 0 lies within the middle one, not on an edge.
            panel.stairs(*np.histogram(other, BINS, (-largest, largest)), fill=True, color=BLUE)
        if zeros:
            panel.vlines([0], 0.5, [zeros], color=RED, linewidth=2)
            notes.append(f"{100 * zeros / len(weight):.0f} % zero")
        panel.set_yscale("log")
        panel.set(ylim=(0.5, None), xlim=(-1.05 * largest, 1.05 * largest))
        panel.set_title("\n".join([layer_name(path_in_net), ", ".join(notes)]).strip(), fontsize=9)
        panel.tick_params(labelsize=7)
        panel.locator_params(axis="x", nbins=5)
    figure.supxlabel("weight")
    figure.supylabel("how many (logarithmic)")
    total = sum(conv.weight.numel() for conv in layers.values())
    figure.suptitle(f"{total:,} weights, {100 * zero_share(net):.1f} % of them zero (red)")
    save(figure, path)
