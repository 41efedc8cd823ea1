"""What all plots share: figures without a window system, and files that appear whole."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

from sqdet_cv.util.atomic_files import atomic_path

from .errors import TrainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_COLUMNS = 6
BLUE, GREY, RED = "#1f5fa8", "#9aa5b1", "#c53030"  # red: what is wrong, or nothing


def require_matplotlib() -> None:
    """Raises TrainError that says how to get it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainError("plots need matplotlib: pip install '.[train]'")


def make_figure(width: float, height: float) -> Figure:
    """In inches at 100 pixels each; without pyplot, so that no window system is touched."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def make_panels(count: int, **shared: bool) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels in rows of PANEL_COLUMNS. `shared`: sharex, sharey of `Figure.subplots`."""
    rows = -(-count // PANEL_COLUMNS)
    figure = make_figure(15, 1.2 + 2.1 * rows)
    panels = list(figure.subplots(rows, PANEL_COLUMNS, squeeze=False, **shared).ravel())
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def png_bytes(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
