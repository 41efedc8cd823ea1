"""Images of a run's activations over its epochs: activations.png and dead_units.png."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..common.plotting import BLUE, RED, make_figure, make_panels, save
from .activations import BIN_EDGES, BINS
from .history import History
from .monitor import DEAD_SHARE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (-1000, -100, -10, -1, 0, 1, 10, 100, 1000)
MOST_WRITTEN = 25  # more epochs than this, and the numbers in dead_units.png would not be legible


def plot_activations(path: str | Path, history: History) -> None:
    """A panel a layer: what its activations are given (upwards), epoch by epoch (to the right), darker where more of
    the values are. Of a single epoch its histogram, on its side."""
    layers = history.measurements[0].layers
    counts = np.stack([found.histograms for found in history.measurements])  # (E, L, BINS)
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    low, high = _used_bins(counts)
    figure, panels = make_panels(len(layers), sharex=len(history.epochs) > 1, sharey=True)
    dead = history.dead()[-1]
    for i, (panel, layer) in enumerate(zip(panels, layers)):
        if len(history.epochs) > 1:
            # Square roots: a bin of a hundredth of the values can still be told from an empty one.
            panel.pcolormesh(_edges(history.epochs), np.arange(BINS + 1), np.sqrt(shares[:, i].T), cmap="Blues", vmin=0)
        else:
            panel.stairs(100 * shares[0, i], np.arange(BINS + 1), orientation="horizontal", fill=True, color=BLUE)
        panel.axhline(BINS / 2, color=RED, linewidth=1)
        panel.set_ylim(low, high)
        _value_ticks(panel)
        name = f"{layer}: {100 * dead[i]:.0f} % dead" if dead[i] > 0 else layer
        panel.set_title(name, fontsize=9, color=RED if dead[i] >= DEAD_SHARE else "black")
    one = len(history.epochs) == 1
    figure.supxlabel("share of the values (%)" if one else "epoch")
    figure.supylabel("value before the activation")
    figure.suptitle("What the activations are given; the red line is 0: a ReLU lets through what is above it")
    save(figure, path)


def plot_dead_units(path: str | Path, history: History) -> None:
    """Layers down, epochs to the right: the share of dead units; with LeakyReLU also that of the silent ones."""
    first = history.measurements[0]
    parts = [("Dead units: no gradient anywhere", history.dead(), "Reds")]
    if (first.slopes > 0).any():
        parts.append(("Silent units: they never fire,\nbut LeakyReLU lets them learn", history.silent(), "Oranges"))
    width = min(1.2 + 0.35 * len(history.epochs), 6) + 1.6  # inches: of the columns, and of the colour bar
    figure = make_figure(2.2 + max(width, 6 / len(parts)) * len(parts), 1.6 + 0.24 * len(first.layers))
    all_axes = figure.subplots(1, len(parts), sharey=True, squeeze=False).ravel()
    for axes, (title, shares, colours) in zip(all_axes, parts):
        heat_map = axes.pcolormesh(
            _edges(history.epochs), np.arange(len(first.layers) + 1), 100 * shares.T, cmap=colours, vmin=0, vmax=100
        )
        if len(history.epochs) <= MOST_WRITTEN:
            for (column, row), share in np.ndenumerate(shares):
                if share > 0:
                    centre = (history.epochs[column], row + 0.5)
                    colour = "white" if share > 0.6 else "black"
                    axes.annotate(f"{100 * share:.0f}", centre, ha="center", va="center", fontsize=7, color=colour)
        axes.set_yticks(
            np.arange(len(first.layers)) + 0.5, [f"{name} ({n})" for name, n in zip(first.layers, first.units)]
        )
        axes.tick_params(labelsize=8)
        axes.set(xlabel="epoch", title=title)
        if len(history.epochs) <= MOST_WRITTEN:
            axes.set_xticks(history.epochs)
        figure.colorbar(heat_map, ax=axes, label="share of the layer's units (%)", shrink=0.7)
    all_axes[0].invert_yaxis()
    all_axes[0].set_ylabel("layer (units)")
    save(figure, path)


def _edges(epochs: tuple[int, ...]) -> np.ndarray:
    """Borders of the columns of a heat map: half way between epochs."""
    centres = np.array(epochs, float)
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[centres[0] - 0.5], middles, [centres[-1] + 0.5]])


def _used_bins(counts: np.ndarray) -> tuple[int, int]:
    """First and one past the last bin that holds more than a thousandth of any layer's values in any epoch."""
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    (used,) = np.nonzero((shares > 1e-3).any(axis=(0, 1)))
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, BINS)


def _value_ticks(panel: Axes) -> None:
    """The panels' vertical axis counts bins; this names values."""
    places = np.interp(TICKS, BIN_EDGES, np.arange(BINS + 1))
    panel.set_yticks(places, [f"{value:g}" for value in TICKS])
    panel.tick_params(labelsize=7)
