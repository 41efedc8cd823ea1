"""What a model is: labels, input, preprocessing and anchor geometry, in one validated dataclass.

Training targets, export and runtime all read a `ModelSpec`; it is saved as JSON with every model, so
nobody has to guess how pixels become tensors or how tensors become boxes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import SpecError
from .grid import Grid
from .json_spec import JsonSpec
from .validation import boolean, class_names, floats, input_size, require, scale_factor

# log(1000 / 16): no object is more than 62 times its anchor. The cap keeps exp() finite for an untrained net.
DEFAULT_SIZE_DELTA_CAP = math.log(1000.0 / 16.0)

VOC_LABELS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


# The keys of a file of version 1, which has one grid, spread over the input; False: with a default. In their order.
VERSION_1 = {
    **dict.fromkeys(("labels", "input_wh", "grid_hw", "anchors_wh"), True),
    **dict.fromkeys(
        ("mean_bgr", "scale", "rgb", "grid_inset", "grid_transposed", "delta_order", "size_delta_cap"), False
    ),
}


@dataclass(frozen=True)
class ModelSpec(JsonSpec):
    """Everything outside the weights that a SqueezeDet-like model needs to be run or trained.

    Anchors are numbered grid by grid, the first grid first, within a grid as `Grid` says.

    Attributes:
        labels: class names; the position is the class id. At least one, unique, not empty.
        input_wh: network input (width, height) in pixels. Images are stretched to it.
        grids: the output grids, each with its cells and anchors; several: the finest first.
        mean_bgr: subtracted from the image's B, G, R (0-255) before scaling.
        scale: multiplied after the mean is subtracted.
        rgb: True if the network wants R first (the mean is still given as B, G, R).
        delta_order: ``"xywh"`` (paper) or ``"xyhw"`` (2017 module): what the four numbers of a delta are.
        size_delta_cap: dw and dh are clipped to this from above before exp; ``inf`` for the plain exponential.

    Raises:
        SpecError: a value is out of its range; the message names it.

    >>> spec = ModelSpec.single(labels=("cat",), input_wh=(32, 32), grid_hw=(1, 1), anchors_wh=((8, 16),))
    >>> spec.anchors_cxcywh
    array([[16., 16.,  8., 16.]], dtype=float32)
    """

    KIND: ClassVar[str] = "model spec"
    VERSION_KEY: ClassVar[str] = "sqdet_spec"
    VERSIONS: ClassVar[tuple[int, ...]] = (1, 2)

    labels: tuple[str, ...]
    input_wh: tuple[int, int]
    grids: tuple[Grid, ...]
    mean_bgr: tuple[float, float, float] = (104.0, 117.0, 123.0)
    scale: float = 1.0
    rgb: bool = False
    delta_order: str = "xywh"
    size_delta_cap: float = DEFAULT_SIZE_DELTA_CAP

    def __post_init__(self) -> None:
        set_field = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen)
        set_field("labels", class_names(self.labels, "labels"))
        require(len(set(self.labels)) == len(self.labels), "labels", self.labels, "each name once")
        set_field("input_wh", input_size(self.input_wh, "input_wh"))
        is_list = isinstance(self.grids, list | tuple) and len(self.grids) > 0
        require(
            is_list and all(isinstance(grid, Grid) for grid in self.grids), "grids", self.grids, "at least one Grid"
        )
        set_field("grids", tuple(self.grids))
        set_field("mean_bgr", floats(self.mean_bgr, 3, "mean_bgr"))
        set_field("scale", scale_factor(self.scale, "scale"))
        set_field("rgb", boolean(self.rgb, "rgb"))
        require(self.delta_order in ("xywh", "xyhw"), "delta_order", self.delta_order, '"xywh" or "xyhw"')
        cap = self.size_delta_cap
        is_number = isinstance(cap, int | float) and not isinstance(cap, bool)
        require(is_number and cap > 0, "size_delta_cap", cap, "a positive number or inf")

    @classmethod
    def single(
        cls,
        labels: Sequence[str],
        input_wh: tuple[int, int],
        grid_hw: tuple[int, int],
        anchors_wh: Sequence[tuple[float, float]],
        *,
        grid_inset: int = 0,
        grid_transposed: bool = False,
        **others: Any,
    ) -> ModelSpec:
        """A model with one grid that is spread over the input, as SqueezeDet has; `others` are fields of the spec."""
        grid = Grid(grid_hw, anchors_wh, inset=grid_inset, transposed=grid_transposed)  # type: ignore[arg-type]  # checks
        return cls(tuple(labels) if isinstance(labels, list) else labels, input_wh, (grid,), **others)  # type: ignore[arg-type]

    # -- geometry ---------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        """The number of labels (C in the paper)."""
        return len(self.labels)

    @property
    def num_anchors(self) -> int:
        """Anchors in all."""
        return sum(grid.num_anchors for grid in self.grids)

    @property
    def grid(self) -> Grid:
        """The grid of a model that has one. Raises SpecError for a model of several."""
        if len(self.grids) > 1:
            raise SpecError(f"the model has {len(self.grids)} grids; expected one")
        return self.grids[0]

    @property
    def anchors_cxcywh(self) -> np.ndarray:
        """All anchors, (num_anchors, 4) float32: centre x, centre y, width, height in input pixels. Read-only."""
        cached = self.__dict__.get("_anchors_cxcywh")
        if cached is None:
            cached = np.concatenate([grid.anchors_cxcywh(self.input_wh) for grid in self.grids]).astype(np.float32)
            cached.flags.writeable = False
            self.__dict__["_anchors_cxcywh"] = cached
        return cached

    def __getstate__(self) -> dict[str, Any]:
        # without the cached anchors, which would come out of a pickle or a copy writable
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def anchor_strides(self) -> np.ndarray:
        """(num_anchors,) float32: pixels from the cell of each anchor to the next, the larger of x and y."""
        strides = [np.full(grid.num_anchors, max(grid.step_wh(self.input_wh))) for grid in self.grids]
        return np.concatenate(strides).astype(np.float32)

    def resized(self, input_wh: tuple[int, int], grids_hw: Sequence[tuple[int, int]]) -> ModelSpec:
        """The same model at another input size in pixels, with other cells; what becomes of anchors: `Grid.resized`."""
        width, height = input_size(input_wh, "input_wh")
        factors = width / self.input_wh[0], height / self.input_wh[1]
        grids = tuple(grid.resized(hw, factors) for grid, hw in zip(self.grids, grids_hw, strict=True))
        return dataclasses.replace(self, input_wh=(width, height), grids=grids)

    # -- JSON ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Of the file: 1 where that can hold the model, so that older versions of this package read it."""
        return 1 if len(self.grids) == 1 and self.grids[0].stride is None else 2

    @classmethod
    def _keys(cls, version: int) -> dict[str, bool]:
        return VERSION_1 if version == 1 else super()._keys(version)

    def _to_values(self) -> dict[str, Any]:
        values = super()._to_values()
        if math.isinf(self.size_delta_cap):
            values["size_delta_cap"] = None  # JSON has no infinity
        if self.version == 1:
            grid = values.pop("grids")[0]
            values |= {"grid_hw": grid["hw"], "anchors_wh": grid["anchors_wh"]}
            values |= {"grid_inset": grid["inset"], "grid_transposed": grid["transposed"]}
            values = {name: values[name] for name in VERSION_1}
        return values

    @classmethod
    def _from_values(cls, values: dict[str, Any], version: int) -> ModelSpec:
        if values.get("size_delta_cap", 0) is None:
            values = values | {"size_delta_cap": math.inf}
        if version == 1:
            return cls.single(**values)
        grids = values["grids"]
        require(isinstance(grids, list), "grids", grids, "a list of grids")
        return super()._from_values(values | {"grids": tuple(map(Grid.from_values, grids))}, version)
