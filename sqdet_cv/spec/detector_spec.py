"""What a model is: labels, input, preprocessing and anchor geometry, in one validated dataclass.

Training targets, export and runtime all read a `ModelSpec`; it is saved as JSON with every model, so
nobody has to guess how pixels become tensors or how tensors become boxes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .json_spec import JsonSpec
from .validation import boolean, class_names, floats, positive_ints, require, scale_factor

# log(1000 / 16): no object is more than 62 times its anchor. The cap keeps exp() finite for an untrained net.
DEFAULT_SIZE_DELTA_CAP = math.log(1000.0 / 16.0)

VOC_LABELS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True)
class ModelSpec(JsonSpec):
    """Everything outside the weights that a SqueezeDet-like model needs to be run or trained.

    An anchor's index is ``(row * grid_width + column) * anchors_per_cell + shape``. Its centre follows the paper's
    rule (arXiv 1612.01051, section 3.1), on each axis ``(i + 1 + inset) * size / (cells + 1 + 2 * inset)``.

    Attributes:
        labels: class names; the position is the class id. At least one, unique, not empty.
        input_wh: network input (width, height) in pixels. Images are stretched to it.
        grid_hw: (rows, columns) of the output grid.
        anchors_wh: anchor shapes (width, height) in input pixels, one row per shape.
        mean_bgr: subtracted from the image's B, G, R (0-255) before scaling.
        scale: multiplied after the mean is subtracted.
        rgb: True if the network wants R first (the mean is still given as B, G, R).
        grid_inset: rings of cells cut off around the grid. 0 is the paper's rule; 1 describes the same network
            whose 3x3 ConvDet is unpadded.
        grid_transposed: True for the geometry of the 2017 OpenCV module, in which the row of a cell gives x.
        delta_order: ``"xywh"`` (paper) or ``"xyhw"`` (2017 module): what the four numbers of a delta are.
        size_delta_cap: dw and dh are clipped to this from above before exp; ``inf`` for the plain exponential.

    Raises:
        SpecError: a value is out of its range; the message names it.

    >>> spec = ModelSpec(labels=("cat",), input_wh=(32, 32), grid_hw=(1, 1), anchors_wh=((8, 16),))
    >>> spec.anchors_cxcywh
    array([[16., 16.,  8., 16.]], dtype=float32)
    """

    KIND: ClassVar[str] = "model spec"
    VERSION_KEY: ClassVar[str] = "sqdet_spec"
    VERSION: ClassVar[int] = 1

    labels: tuple[str, ...]
    input_wh: tuple[int, int]
    grid_hw: tuple[int, int]
    anchors_wh: tuple[tuple[float, float], ...]
    mean_bgr: tuple[float, float, float] = (104.0, 117.0, 123.0)
    scale: float = 1.0
    rgb: bool = False
    grid_inset: int = 0
    grid_transposed: bool = False
    delta_order: str = "xywh"
    size_delta_cap: float = DEFAULT_SIZE_DELTA_CAP

    def __post_init__(self) -> None:
        set_field = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen)
        set_field("labels", class_names(self.labels, "labels"))
        require(len(set(self.labels)) == len(self.labels), "labels", self.labels, "each name once")
        set_field("input_wh", positive_ints(self.input_wh, "input_wh"))
        set_field("grid_hw", positive_ints(self.grid_hw, "grid_hw"))
        set_field("anchors_wh", _anchors(self.anchors_wh))
        set_field("mean_bgr", floats(self.mean_bgr, 3, "mean_bgr"))
        set_field("scale", scale_factor(self.scale, "scale"))
        for name in ("rgb", "grid_transposed"):
            set_field(name, boolean(getattr(self, name), name))
        inset = self.grid_inset
        require(isinstance(inset, int) and not isinstance(inset, bool) and inset >= 0, "grid_inset", inset, "0 or more")
        require(self.delta_order in ("xywh", "xyhw"), "delta_order", self.delta_order, '"xywh" or "xyhw"')
        cap = self.size_delta_cap
        is_number = isinstance(cap, int | float) and not isinstance(cap, bool)
        require(is_number and cap > 0, "size_delta_cap", cap, "a positive number or inf")

    # -- geometry ---------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        """The number of labels (C in the paper)."""
        return len(self.labels)

    @property
    def anchors_per_cell(self) -> int:
        """Anchor shapes per cell (K in the paper)."""
        return len(self.anchors_wh)

    @property
    def num_anchors(self) -> int:
        """Anchors in all: rows * columns * shapes."""
        return self.grid_hw[0] * self.grid_hw[1] * self.anchors_per_cell

    @property
    def anchors_cxcywh(self) -> np.ndarray:
        """All anchors, (num_anchors, 4) float32: centre x, centre y, width, height in input pixels. Read-only."""
        cached = self.__dict__.get("_anchors_cxcywh")
        if cached is None:
            cached = self._build_anchors()
            cached.flags.writeable = False
            self.__dict__["_anchors_cxcywh"] = cached
        return cached

    def _build_anchors(self) -> np.ndarray:
        rows, columns = self.grid_hw
        width, height = self.input_wh
        # In the transposed geometry a row index walks along x.
        row_extent, column_extent = (width, height) if self.grid_transposed else (height, width)
        row_centres = self._centres(rows, row_extent)
        column_centres = self._centres(columns, column_extent)
        along_rows, along_columns = np.meshgrid(row_centres, column_centres, indexing="ij")
        cx, cy = (along_rows, along_columns) if self.grid_transposed else (along_columns, along_rows)
        anchors = np.empty((rows, columns, self.anchors_per_cell, 4), np.float64)
        anchors[..., 0] = cx[:, :, None]
        anchors[..., 1] = cy[:, :, None]
        anchors[..., 2:] = np.asarray(self.anchors_wh)
        return anchors.reshape(-1, 4).astype(np.float32)

    def _centres(self, cells: int, extent: int) -> np.ndarray:
        return (np.arange(cells) + 1 + self.grid_inset) * (extent / (cells + 1 + 2 * self.grid_inset))

    def resized(self, input_wh: tuple[int, int], grid_hw: tuple[int, int]) -> ModelSpec:
        """The same model at another input size in pixels, with another grid; anchors are stretched with the image."""
        width, height = positive_ints(input_wh, "input_wh")
        fx, fy = width / self.input_wh[0], height / self.input_wh[1]
        anchors_wh = tuple((w * fx, h * fy) for w, h in self.anchors_wh)
        return dataclasses.replace(self, input_wh=(width, height), grid_hw=grid_hw, anchors_wh=anchors_wh)

    # -- JSON ---------------------------------------------------------------------------------------------------

    def _to_values(self) -> dict[str, Any]:
        values = super()._to_values()
        if math.isinf(self.size_delta_cap):
            values["size_delta_cap"] = None  # JSON has no infinity
        return values

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> ModelSpec:
        if values.get("size_delta_cap", 0) is None:
            values = values | {"size_delta_cap": math.inf}
        return super()._from_values(values)


def _anchors(value: Any) -> tuple[tuple[float, float], ...]:
    is_list = isinstance(value, list | tuple | np.ndarray)
    require(is_list and len(value) > 0, "anchors_wh", value, "a list of at least one (width, height)")
    shapes = tuple((w, h) for w, h in (floats(shape, 2, "anchors_wh") for shape in value))
    require(all(w > 0 and h > 0 for w, h in shapes), "anchors_wh", value, "positive widths and heights")
    return shapes
