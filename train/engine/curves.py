"""curves.png of a run: the loss, whole and in parts, in training and validation, and what the run is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..common.plotting import BLUE, GREY, RED, make_figure, save

COLUMNS = 3


def plot_history(history: Sequence[dict], monitor: str, path: str | Path) -> None:
    """Draws the lines of results.csv: a panel for the loss, one for each of its parts if there are several, one for
    the column that the epochs are judged by, one for the learning rate.

    Args:
        history: rows by epoch; a part of the loss is a column NAME that has a column val_NAME beside it.
    """
    parts = [name for name in history[0] if f"val_{name}" in history[0]]
    epochs = [row["epoch"] for row in history]
    panels = {"loss": parts} | ({name: [name] for name in parts} if len(parts) > 1 else {})
    count = len(panels) + 2
    rows = -(-count // COLUMNS)
    figure = make_figure(4 * COLUMNS, 3 * rows)
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).ravel())
    for panel, (title, names) in zip(axes, panels.items()):
        for prefix, colour, label in (("", GREY, "training (with augmentation)"), ("val_", BLUE, "validation")):
            values = [sum(row[prefix + name] for name in names) for row in history]
            panel.plot(epochs, values, color=colour, marker=".", label=label)
        panel.set_title(title)
    axes[0].legend(fontsize=9)
    judged = [100 * row[monitor] for row in history]
    best = max(range(len(judged)), key=judged.__getitem__)
    axes[count - 2].plot(epochs, judged, color=BLUE, marker=".")
    axes[count - 2].plot(epochs[best], judged[best], "o", color=RED, fillstyle="none", markersize=10)
    axes[count - 2].set_title(f"{monitor}, best {judged[best]:.1f} % in epoch {epochs[best]}")
    axes[count - 1].plot(epochs, [row["lr"] for row in history], color=BLUE, marker=".")
    axes[count - 1].set_title("learning rate at the epoch's end")
    for panel in axes[:count]:
        panel.grid(alpha=0.25)
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
    for panel in axes[count:]:
        panel.remove()
    save(figure, path)
