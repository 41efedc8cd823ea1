"""The pictures of a diagnosis, written into a folder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from .activation_plots import plot_activations, plot_dead_units
from .history import History
from .weight_plots import plot_conv1_filters, plot_weights


def draw_history(folder: str | Path, history: History) -> list[Path]:
    """Writes activations.png and dead_units.png into the folder, of a history with an epoch at least."""
    folder = Path(folder)
    plot_activations(folder / "activations.png", history)
    plot_dead_units(folder / "dead_units.png", history)
    return [folder / "activations.png", folder / "dead_units.png"]


def draw_weights(folder: str | Path, net: nn.Module) -> list[Path]:
    """Writes conv1_filters.png and weights.png into the folder."""
    folder = Path(folder)
    plot_conv1_filters(folder / "conv1_filters.png", net)
    plot_weights(folder / "weights.png", net)
    return [folder / "conv1_filters.png", folder / "weights.png"]
