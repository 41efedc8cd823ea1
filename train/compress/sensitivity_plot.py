"""Image of a sensitivity scan: points of mAP lost, by layer and by how much is taken from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..common.plotting import make_figure, save
from .sensitivity import Scan


def plot_scan(path: Path, scan: Scan, images: int) -> None:
    """Two heat maps, pruned and shared, a row a layer. `images`: how many it was measured on."""
    layers = list(scan.pruned)
    maps = {"pruned": scan.pruned, "shared": scan.shared}
    titles = {"pruned": "share of the layer's weights pruned", "shared": "bits of the layer's shared weights"}
    lost = {
        kind: 100 * (scan.map - np.array([list(maps[kind][layer].values()) for layer in layers])) for kind in titles
    }
    most = max(1.0, *(float(values.max()) for values in lost.values()))
    figure = make_figure(11, 1.8 + 0.27 * len(layers), dpi=120)
    all_axes = figure.subplots(1, 2, sharey=True)
    for axes, (kind, title) in zip(all_axes, titles.items()):
        heat_map = axes.imshow(lost[kind], cmap="magma_r", vmin=0, vmax=most, aspect="auto")
        steps = list(maps[kind][layers[0]])
        axes.set_xticks(range(len(steps)), steps)
        axes.set_yticks(range(len(layers)), [layer.removesuffix(".0").removeprefix("features.") for layer in layers])
        axes.set_xlabel(title)
        for (row, column), value in np.ndenumerate(lost[kind]):
            colour = "white" if value > most / 2 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(heat_map, ax=all_axes, label="points of mAP lost", shrink=0.6)
    figure.suptitle(f"One layer at a time: mAP {100 * scan.map:.1f} on {images} images, less ...")
    save(figure, path)
