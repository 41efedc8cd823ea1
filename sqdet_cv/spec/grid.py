"""One output grid of a detector: its cells, where their centres lie, and the anchor shapes that each cell has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SpecError
from .validation import boolean, floats, positive_ints, require


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns. The centre of cell i lies, on each axis, at ``(i + offset) * step`` pixels:

    - without a stride the cells are spread over the input (SqueezeDet, arXiv 1612.01051, section 3.1):
      ``offset = 1 + inset``, ``step = size / (cells + 1 + 2 * inset)``;
    - with a stride, as a net has whose layers are all padded by half their kernel: ``offset = 0``, ``step = stride``.

    Attributes:
        hw: (rows, columns).
        anchors_wh: anchor shapes (width, height) in input pixels, one row per shape.
        stride: pixels from one cell to the next; None: spread.
        inset: rings of cells cut off around a grid that is spread. 0 is the paper's rule; 1 describes the same network
            whose 3x3 ConvDet is unpadded.
        transposed: True for the geometry of the 2017 OpenCV module, in which the row of a cell gives x.

    Raises:
        SpecError: a value is out of its range; the message names it.

    >>> Grid((1, 2), ((40, 40),), stride=8).anchors_cxcywh((16, 8))
    array([[ 0.,  0., 40., 40.],
           [ 8.,  0., 40., 40.]])
    """

    hw: tuple[int, int]
    anchors_wh: tuple[tuple[float, float], ...]
    stride: float | None = None
    inset: int = 0
    transposed: bool = False

    def __post_init__(self) -> None:
        set_field = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen)
        set_field("hw", positive_ints(self.hw, "grid_hw"))
        set_field("anchors_wh", _anchors(self.anchors_wh))
        set_field("transposed", boolean(self.transposed, "grid_transposed"))
        inset, stride = self.inset, self.stride
        require(isinstance(inset, int) and not isinstance(inset, bool) and inset >= 0, "grid_inset", inset, "0 or more")
        if stride is not None:
            (stride,) = floats((stride,), 1, "stride")
            require(stride > 0, "stride", stride, "a positive number of pixels, or null")
            require(not inset, "grid_inset", inset, "0 for a grid with a stride")
            set_field("stride", stride)

    @classmethod
    def from_values(cls, values: Any) -> Grid:
        """From what JSON holds. Raises SpecError for anything but a grid's keys and values."""
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, Mapping) or not {"hw", "anchors_wh"} <= values.keys() <= known:
            raise SpecError(f"model spec: a grid is {values!r}, expected the keys {', '.join(sorted(known))}")
        return cls(**values)

    @property
    def anchors_per_cell(self) -> int:
        """Anchor shapes of a cell (K in the paper)."""
        return len(self.anchors_wh)

    @property
    def num_anchors(self) -> int:
        """Anchors in all: rows * columns * shapes."""
        return self.hw[0] * self.hw[1] * self.anchors_per_cell

    @property
    def offset(self) -> int:
        """What is added to a cell's index before it is multiplied by `step_wh`."""
        return 1 + self.inset if self.stride is None else 0

    def step_wh(self, input_wh: tuple[int, int]) -> tuple[float, float]:
        """Pixels from one cell to the next, in x and in y, for an input of that size."""
        if self.stride is not None:
            return self.stride, self.stride
        rows, columns = self.hw
        across, down = (rows, columns) if self.transposed else (columns, rows)
        border = 1 + 2 * self.inset
        return input_wh[0] / (across + border), input_wh[1] / (down + border)

    def anchors_cxcywh(self, input_wh: tuple[int, int]) -> np.ndarray:
        """(num_anchors, 4) float64: centre x, centre y, width, height in input pixels. An anchor's index is
        ``(row * columns + column) * anchors_per_cell + shape``."""
        rows, columns = (np.arange(cells) + self.offset for cells in self.hw)
        step_x, step_y = self.step_wh(input_wh)
        along_rows, along_columns = np.meshgrid(rows, columns, indexing="ij")
        x, y = (along_rows, along_columns) if self.transposed else (along_columns, along_rows)
        anchors = np.empty((*self.hw, self.anchors_per_cell, 4), np.float64)
        anchors[..., 0] = (x * step_x)[:, :, None]
        anchors[..., 1] = (y * step_y)[:, :, None]
        anchors[..., 2:] = np.asarray(self.anchors_wh)
        return anchors.reshape(-1, 4)

    def resized(self, hw: tuple[int, int], factor_wh: tuple[float, float]) -> Grid:
        """The grid of the same net for an input that is larger by these factors.

        The anchors of a spread grid, which were found on the boxes of that input, are stretched with it. With a stride
        they stay: the net sees the same object in the same way wherever and in whatever input it lies.
        """
        if self.stride is not None:
            return dataclasses.replace(self, hw=hw)
        fx, fy = factor_wh
        return dataclasses.replace(self, hw=hw, anchors_wh=tuple((w * fx, h * fy) for w, h in self.anchors_wh))


def _anchors(value: Any) -> tuple[tuple[float, float], ...]:
    is_list = isinstance(value, list | tuple | np.ndarray)
    require(is_list and len(value) > 0, "anchors_wh", value, "a list of at least one (width, height)")
    shapes = tuple((w, h) for w, h in (floats(shape, 2, "anchors_wh") for shape in value))
    require(all(w > 0 and h > 0 for w, h in shapes), "anchors_wh", value, "positive widths and heights")
    return shapes
