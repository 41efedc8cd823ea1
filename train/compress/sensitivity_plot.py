"""Image of a sensitivity scan: points of mAP lost, by layer and by how much is taken from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sqdet_cv.util.atomic_files import atomic_path


def plot_scan(path: Path, scan: dict) -> None:
    """Two heat maps, pruned and shared, a row a layer.

    Args:
        scan: {"map": mAP of the whole net, "photos": n, "pruned": {layer: {"0.5": mAP, ...}}, "shared": {layer:
            {"3": mAP, ...}}}, mAP in [0, 1].
    """
    from matplotlib.figure import Figure

    layers = list(scan["pruned"])
    titles = {"pruned": "share of the layer's weights pruned", "shared": "bits of the layer's shared weights"}
    lost = {
        kind: 100 * (scan["map"] - np.array([list(scan[kind][layer].values()) for layer in layers])) for kind in titles
    }
    most = max(1.0, *(float(values.max()) for values in lost.values()))
    figure = Figure(figsize=(11, 1.8 + 0.27 * len(layers)), dpi=120, layout="constrained")
    all_axes = figure.subplots(1, 2, sharey=True)
    for axes, (kind, title) in zip(all_axes, titles.items()):
        picture = axes.imshow(lost[kind], cmap="magma_r", vmin=0, vmax=most, aspect="auto")
        steps = list(scan[kind][layers[0]])
        axes.set_xticks(range(len(steps)), steps)
        axes.set_yticks(range(len(layers)), [layer.removesuffix(".0").removeprefix("features.") for layer in layers])
        axes.set_xlabel(title)
        for (row, column), value in np.ndenumerate(lost[kind]):
            colour = "white" if value > most / 2 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(picture, ax=all_axes, label="points of mAP lost", shrink=0.6)
    figure.suptitle(f"One layer at a time: mAP {100 * scan['map']:.1f} on {scan['photos']} images, less ...")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
