"""What a classifier is: labels, input and preprocessing, saved as JSON beside its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .json_spec import JsonSpec
from .validation import boolean, class_names, floats, input_size, require, scale_factor

RESIZE_RULES = ("stretch", "center_crop")


@dataclass(frozen=True)
class ClassifierSpec(JsonSpec):
    """Everything outside the weights that a classifier needs to be run.

    Attributes:
        labels: class names; the position is the class id. None is empty; a name may occur twice, as "crane"
            (the bird and the machine) does in ImageNet.
        input_wh: network input (width, height) in pixels.
        mean_bgr: subtracted from the image's B, G, R (0-255) before scaling.
        scale: multiplied after the mean is subtracted.
        rgb: True if the network wants R first (the mean is still given as B, G, R).
        resize: ``"stretch"``: the whole image is stretched to the input (the 2017 module's sample);
            ``"center_crop"``: it is stretched to a square of `resize_side` pixels, and the input is the middle of
            that (DeepScale's SqueezeNet: 227 of 256).
        resize_side: pixels, at least the larger side of the input; None for ``"stretch"``.

    Raises:
        SpecError: a value is out of its range; the message names it.

    >>> spec = ClassifierSpec(("cat", "dog"), (227, 227), resize="center_crop", resize_side=256)
    >>> ClassifierSpec.from_json(spec.to_json()) == spec
    True
    """

    KIND: ClassVar[str] = "classifier spec"
    VERSION_KEY: ClassVar[str] = "sqdet_classifier_spec"
    VERSIONS: ClassVar[tuple[int, ...]] = (1,)

    labels: tuple[str, ...]
    input_wh: tuple[int, int]
    mean_bgr: tuple[float, float, float] = (104.0, 117.0, 123.0)
    scale: float = 1.0
    rgb: bool = False
    resize: str = "stretch"
    resize_side: int | None = None

    def __post_init__(self) -> None:
        set_field = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731  (frozen)
        set_field("labels", class_names(self.labels, "labels"))
        set_field("input_wh", input_size(self.input_wh, "input_wh"))
        set_field("mean_bgr", floats(self.mean_bgr, 3, "mean_bgr"))
        set_field("scale", scale_factor(self.scale, "scale"))
        set_field("rgb", boolean(self.rgb, "rgb"))
        require(self.resize in RESIZE_RULES, "resize", self.resize, '"stretch" or "center_crop"')
        side = self.resize_side
        if self.resize == "stretch":
            require(side is None, "resize_side", side, 'null, since resize is "stretch"')
        else:
            fits = isinstance(side, int) and not isinstance(side, bool) and side >= max(self.input_wh)
            require(fits, "resize_side", side, f"{max(self.input_wh)} or more for the crop")
            input_size((side, side), "resize_side")

    @property
    def num_classes(self) -> int:
        """The number of labels."""
        return len(self.labels)
