"""A plot of the boxes of a data set and the anchor shapes found in them (figure 5 of the 2017 project's blog)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..common.errors import TrainError
from ..common.plotting import make_figure, require_matplotlib, save
from .anchors import best_iou, nearest

DISTANCES = {"iou": "1 \u2212 IoU", "euclidean": "distance in pixels"}  # the names of METRICS in a title


def check_plot_path(path: str) -> None:
    """Raises TrainError where `plot_clusters` would fail at the end of the work."""
    if Path(path).suffix != ".png":
        raise TrainError(f"--plot {path}: expected a .png file")
    require_matplotlib()


def plot_clusters(path: str, shapes_wh: np.ndarray, centres_wh: np.ndarray, metric: str, size: int, title: str) -> None:
    """Width against height of (n, 2) boxes, coloured by cluster, with the (K, 2) centres marked and named."""
    from matplotlib import colormaps
    from matplotlib.patheffects import withStroke

    palette = colormaps["tab10"].colors  # ten in turn: clusters ten apart in area do not touch
    colours = np.array([palette[k % len(palette)] for k in range(len(centres_wh))])
    figure = make_figure(8, 8.4, dpi=120)
    axes = figure.subplots()
    axes.scatter(*shapes_wh.T, s=6, c=colours[nearest(shapes_wh, centres_wh, metric)], alpha=0.45, linewidths=0)
    axes.scatter(*centres_wh.T, s=130, c=colours, edgecolors="black", linewidths=1.5, zorder=3)
    for width, height in centres_wh:
        inwards = -1 if width > 0.8 * size else 1
        axes.annotate(
            f"{width:.0f} \u00d7 {height:.0f}",
            (width, height),
            (9 * inwards, 6),
            textcoords="offset points",
            horizontalalignment="right" if inwards < 0 else "left",
            fontweight="bold",
            path_effects=[withStroke(linewidth=3, foreground="white")],
            zorder=4,
        )
    limits = (-0.01 * size, 1.01 * size)  # boxes as large as the image lie on the border
    axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel="width of the box (px)", ylabel="height of the box (px)")
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    mean = best_iou(shapes_wh, centres_wh).mean()
    axes.set_title(f"{title}\n{len(centres_wh)} shapes, k-means by {DISTANCES[metric]}: mean best IoU {mean:.3f}")
    save(figure, path)
