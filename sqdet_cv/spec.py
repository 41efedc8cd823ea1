"""What a model is: labels, input, preprocessing and anchor geometry, in one validated dataclass.

Training targets, export and runtime all read a `ModelSpec`; it is saved as JSON with every model, so
nobody has to guess how pixels become tensors or how tensors become boxes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import SpecError
from .files import write_text_atomically

SPEC_VERSION = 1

# log(1000 / 16): no object is more than 62 times its anchor. The cap keeps exp() finite for an untrained net.
DEFAULT_SIZE_DELTA_CAP = math.log(1000.0 / 16.0)

VOC_LABELS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True)
class ModelSpec:
    """Everything outside the weights that a SqueezeDet-like model needs to be run or trained.

    An anchor's index is ``(row * grid_width + column) * num_shapes + shape``. Its centre follows the paper's
    rule (arXiv 1612.01051, section 3.1), on each axis ``(i + 1 + inset) * size / (cells + 1 + 2 * inset)``.

    Attributes:
        labels: class names; the position is the class id. At least one, unique, not empty.
        input_wh: network input (width, height) in pixels. Pictures are stretched to it.
        grid_hw: (rows, columns) of the output grid.
        anchors_wh: anchor shapes (width, height) in input pixels, one row a shape.
        mean_bgr: subtracted from the picture's B, G, R (0-255) before scaling.
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
        set_field("labels", _labels(self.labels))
        set_field("input_wh", _positive_ints(self.input_wh, "input_wh"))
        set_field("grid_hw", _positive_ints(self.grid_hw, "grid_hw"))
        set_field("anchors_wh", _anchors(self.anchors_wh))
        set_field("mean_bgr", _floats(self.mean_bgr, 3, "mean_bgr"))
        set_field("scale", _floats((self.scale,), 1, "scale")[0])
        _require(self.scale != 0, "scale", self.scale, "a number other than 0")
        for name in ("rgb", "grid_transposed"):
            _require(isinstance(getattr(self, name), bool), name, getattr(self, name), "true or false")
        inset = self.grid_inset
        _require(
            isinstance(inset, int) and not isinstance(inset, bool) and inset >= 0, "grid_inset", inset, "0 or more"
        )
        _require(self.delta_order in ("xywh", "xyhw"), "delta_order", self.delta_order, '"xywh" or "xyhw"')
        cap = self.size_delta_cap
        is_number = isinstance(cap, int | float) and not isinstance(cap, bool)
        _require(is_number and cap > 0, "size_delta_cap", cap, "a positive number or inf")

    # -- geometry ---------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        return len(self.labels)

    @property
    def num_shapes(self) -> int:
        """Anchor shapes per cell (K in the paper)."""
        return len(self.anchors_wh)

    @property
    def num_anchors(self) -> int:
        """Anchors in all: rows * columns * shapes."""
        return self.grid_hw[0] * self.grid_hw[1] * self.num_shapes

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
        anchors = np.empty((rows, columns, self.num_shapes, 4), np.float64)
        anchors[..., 0] = cx[:, :, None]
        anchors[..., 1] = cy[:, :, None]
        anchors[..., 2:] = np.asarray(self.anchors_wh)
        return anchors.reshape(-1, 4).astype(np.float32)

    def _centres(self, cells: int, extent: int) -> np.ndarray:
        return (np.arange(cells) + 1 + self.grid_inset) * (extent / (cells + 1 + 2 * self.grid_inset))

    def resized(self, input_wh: tuple[int, int], grid_hw: tuple[int, int]) -> ModelSpec:
        """The same model at another input size; anchors are stretched with the picture."""
        width, height = _positive_ints(input_wh, "input_wh")
        fx, fy = width / self.input_wh[0], height / self.input_wh[1]
        anchors_wh = tuple((w * fx, h * fy) for w, h in self.anchors_wh)
        return dataclasses.replace(self, input_wh=(width, height), grid_hw=grid_hw, anchors_wh=anchors_wh)

    # -- JSON ---------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The spec as JSON text; `from_json` gives an equal spec back."""
        values = {"sqdet_spec": SPEC_VERSION} | dataclasses.asdict(self)
        if math.isinf(self.size_delta_cap):
            values["size_delta_cap"] = None  # JSON has no infinity
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Reads what `to_json` wrote. Raises SpecError for text that is not such a spec."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise SpecError(f"the model spec is not JSON: {error}") from None
        if not isinstance(values, dict) or "sqdet_spec" not in values:
            raise SpecError("the JSON is not a model spec: it has no key 'sqdet_spec'")
        version = values.pop("sqdet_spec")
        if version != SPEC_VERSION:
            raise SpecError(f"model spec version {version!r}; this sqdet_cv reads version {SPEC_VERSION}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - fields.keys()):
            raise SpecError(f"unknown keys in the model spec: {', '.join(unknown)}")
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        if missing := sorted(required - values.keys()):
            raise SpecError(f"keys missing from the model spec: {', '.join(missing)}")
        if values.get("size_delta_cap", 0) is None:
            values["size_delta_cap"] = math.inf
        return cls(**values)

    def save(self, path: str | Path) -> None:
        """Writes the JSON file at once or not at all."""
        write_text_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> ModelSpec:
        """Reads a JSON file. Raises SpecError that names the file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(f"{path}: cannot read the model spec: {error.strerror}") from None
        except (SpecError, UnicodeDecodeError) as error:
            raise SpecError(f"{path}: {error}") from None


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise SpecError(f"model spec: {name} is {value!r}, expected {expected}")


def _labels(value: object) -> tuple[str, ...]:
    is_list = isinstance(value, list | tuple)
    _require(is_list and len(value) > 0, "labels", value, "a list of at least one class name")
    _require(all(isinstance(label, str) and label.strip() for label in value), "labels", value, "names, none empty")
    _require(len(set(value)) == len(value), "labels", value, "each name once")
    return tuple(value)


def _positive_ints(value: object, name: str) -> tuple[int, int]:
    try:
        pair = tuple(int(item) for item in value)
        valid = len(pair) == 2 and all(item > 0 for item in pair) and all(a == b for a, b in zip(pair, value))
    except (TypeError, ValueError, OverflowError):
        valid = False
    _require(valid, name, value, "two positive integers")
    return pair


def _floats(value: object, count: int, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(item) for item in value)
        is_text = any(isinstance(item, str) for item in value)
        valid = len(numbers) == count and all(math.isfinite(item) for item in numbers) and not is_text
    except (TypeError, ValueError, OverflowError):
        valid = False
    _require(valid, name, value, f"{count} finite number{'s' if count > 1 else ''}")
    return numbers


def _anchors(value: object) -> tuple[tuple[float, float], ...]:
    is_list = isinstance(value, list | tuple | np.ndarray)
    _require(is_list and len(value) > 0, "anchors_wh", value, "a list of at least one (width, height)")
    shapes = tuple(_floats(shape, 2, "anchors_wh") for shape in value)
    _require(all(w > 0 and h > 0 for w, h in shapes), "anchors_wh", value, "positive widths and heights")
    return shapes
