"""What all plots share: figures without a window system, sheets of images, and files that appear whole."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sqdet_cv.util.atomic_files import atomic_path

from .errors import TrainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_COLUMNS = 6
GAP = 4  # pixels between the images of a sheet
BLUE, GREY, RED = "#1f5fa8", "#9aa5b1", "#c53030"  # red: what is wrong, or nothing


def require_matplotlib() -> None:
    """Raises TrainError, which says how to install it, where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise TrainError("plots need matplotlib: pip install '.[train]'")


def make_figure(width: float, height: float, dpi: int = 100) -> Figure:
    """In inches of `dpi` pixels; without pyplot, so that no window system is touched."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def make_panels(count: int, **shared: bool) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of PANEL_COLUMNS. `shared`: sharex, sharey of `Figure.subplots`."""
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


def sheet(images_bgr: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images of one size in rows of `columns`, on white, with gaps; the last row may be short."""
    height, width = images_bgr[0].shape[:2]
    rows = -(-len(images_bgr) // columns)
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, image_bgr in enumerate(images_bgr):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        page[y : y + height, x : x + width] = image_bgr
    return page
