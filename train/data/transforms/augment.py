"""Random changes of an image and its boxes. Every random number comes from the generator that is passed in.

A change with probability 0 takes no random number (except for the three oldest ones), so that a new kind of change
leaves the images of older configurations as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...common.errors import TrainError
from ...common.options import option
from .geometry import LabeledImage, crop_and_warp, flip_horizontally, flip_vertically
from .photometric import add_noise, blur_average, blur_gaussian, normalise_contrast, shift_colours

PROBABILITIES = tuple(
    "window flip colour flip_vertical rotate contrast blur_gaussian blur_average noise mosaic keep_visible".split()
)
MOSAIC_CENTRE = (0.35, 0.65)  # where the four images of a mosaic meet, as a share of its width and height


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a training image, and how often. Lengths are in pixels at network size.

    Raises:
        TrainError: a value outside the range that its meaning gives.
    """

    REMOVED = {"rotate_tight": 1.0}  # no recipe used another value

    window: float = option(0.8, "probability of a random window (zoom, shift, stretch); else the whole image")
    window_size: tuple[float, float] = option((0.45, 1.4), "smallest and largest width of that window, of the image's")
    window_aspect: float = option(1.33, "its aspect, relative to the image's, lies between 1/this and this")
    keep_visible: float = option(0.3, "an object that keeps less of its area than this is ignored")
    flip: float = option(0.5, "probability of left-right")
    colour: float = option(0.8, "probability of a change of hue, saturation and brightness")
    hue: float = option(0.02, "largest shift, as a share of the colour circle")
    saturation: float = option(0.5, "factor between 1 - this and 1 + this")
    brightness: float = option(0.4, "factor between 1 - this and 1 + this")
    flip_vertical: float = option(0.0, "probability of upside down")
    rotate: float = option(0.0, "probability of a turn; the uncovered corners show the mean colour")
    rotate_degrees: float = option(45.0, "largest turn to either side, at most 45")
    contrast: float = option(0.0, "probability of contrast normalisation (distances from mid-grey times a factor)")
    contrast_factor: tuple[float, float] = option((0.5, 1.5), "smallest and largest such factor")
    blur_gaussian: float = option(0.0, "probability of a Gaussian blur")
    blur_sigma: tuple[float, float] = option((0.3, 1.5), "smallest and largest standard deviation of it, in pixels")
    blur_average: float = option(0.0, "probability of a blur by the mean of a square")
    blur_side: int = option(5, "largest side of that square, in pixels, odd; the smallest is 3")
    noise: float = option(0.0, "probability of Gaussian noise, its own for each pixel and channel")
    noise_sigma: float = option(13.0, "largest standard deviation of it, in grey levels of 255")
    mosaic: float = option(0.0, "probability of four images in one; the other three are drawn from the data set")

    def __post_init__(self) -> None:
        for name in PROBABILITIES:
            self._check(name, 0 <= getattr(self, name) <= 1, "0 to 1")
        for name in ("window_size", "contrast_factor", "blur_sigma"):
            low, high = getattr(self, name)
            self._check(name, 0 < low <= high, "two numbers, 0 < LOW <= HIGH")
        self._check("window_aspect", self.window_aspect >= 1, "1 or more")
        self._check("rotate_degrees", 0 <= self.rotate_degrees <= 45, "0 to 45")
        self._check("blur_side", self.blur_side >= 3 and self.blur_side % 2 == 1, "an odd number of 3 or more")
        self._check("noise_sigma", self.noise_sigma >= 0, "0 or more")

    def _check(self, name: str, valid: bool, expected: str) -> None:
        if not valid:
            raise TrainError(f"--augment.{name.replace('_', '-')} {getattr(self, name)}: expected {expected}")


def random_view(
    view: LabeledImage,
    size_wh: tuple[int, int],
    fill_bgr: tuple[float, ...],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> LabeledImage:
    """An augmented copy of `view` at size_wh; where the window leaves the image, `fill_bgr` shows."""
    return _change_pixels(_place(view, size_wh, fill_bgr, config, rng), config, rng)


def random_mosaic(
    views: Sequence[LabeledImage],
    size_wh: tuple[int, int],
    fill_bgr: tuple[float, ...],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> LabeledImage:
    """Four images in one of size_wh, each cropped at random by itself, that meet at a random point (YOLOv4, arXiv
    2004.10934). Colours, blur and noise change in the whole image alike."""
    width, height = size_wh
    x, y = (round(side * rng.uniform(*MOSAIC_CENTRE)) for side in size_wh)
    image_bgr = np.empty((height, width, 3), np.uint8)
    tiles = []
    corners_xyxy = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    for view, (x1, y1, x2, y2) in zip(views, corners_xyxy, strict=True):
        tile = _place(view, (x2 - x1, y2 - y1), fill_bgr, config, rng)
        image_bgr[y1:y2, x1:x2] = tile.image_bgr
        tiles.append(replace(tile, boxes_xyxy=tile.boxes_xyxy + np.float32([x1, y1, x1, y1])))
    objects = {
        name: np.concatenate([getattr(tile, name) for tile in tiles])
        for name in ("boxes_xyxy", "class_ids", "ignore", "weights", "class_probabilities")
    }
    return _change_pixels(LabeledImage(image_bgr, **objects), config, rng)


def happens(probability: float, rng: np.random.Generator) -> bool:
    """True with that probability. Takes no random number for 0: see the top of this file."""
    return probability > 0 and rng.random() < probability


def _place(
    view: LabeledImage,
    size_wh: tuple[int, int],
    fill_bgr: tuple[float, ...],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> LabeledImage:
    height, width = view.image_bgr.shape[:2]
    window = (0.0, 0.0, float(width), float(height))
    if rng.random() < config.window:
        window = _random_window(view, config, rng)
    degrees = 0.0
    if happens(config.rotate, rng):
        degrees = rng.uniform(-config.rotate_degrees, config.rotate_degrees)
    view = crop_and_warp(view, window, size_wh, fill_bgr, config.keep_visible, degrees)
    if rng.random() < config.flip:
        view = flip_horizontally(view)
    if happens(config.flip_vertical, rng):
        view = flip_vertically(view)
    return view


def _change_pixels(view: LabeledImage, config: AugmentConfig, rng: np.random.Generator) -> LabeledImage:
    image_bgr = view.image_bgr
    if rng.random() < config.colour:
        image_bgr = shift_colours(image_bgr, config.hue, config.saturation, config.brightness, rng)
    if happens(config.contrast, rng):
        image_bgr = normalise_contrast(image_bgr, config.contrast_factor, rng)
    if happens(config.blur_gaussian, rng):
        image_bgr = blur_gaussian(image_bgr, config.blur_sigma, rng)
    if happens(config.blur_average, rng):
        image_bgr = blur_average(image_bgr, config.blur_side, rng)
    if happens(config.noise, rng):  # last: a camera's noise is not blurred by its lens
        image_bgr = add_noise(image_bgr, config.noise_sigma, rng)
    return replace(view, image_bgr=image_bgr)


def _random_window(
    view: LabeledImage, config: AugmentConfig, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """x, y, width, height of a window that holds the centre of a random object, if there is one."""
    height, width = view.image_bgr.shape[:2]
    low, high = config.window_size
    zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
    half_log_aspect = rng.uniform(-1, 1) * np.log(config.window_aspect) / 2
    w, h = width * zoom * np.exp(half_log_aspect), height * zoom * np.exp(-half_log_aspect)
    # A window smaller than the image lies inside it; a larger one contains it.
    x = rng.uniform(min(0, width - w), max(0, width - w))
    y = rng.uniform(min(0, height - h), max(0, height - h))
    if len(view.boxes_xyxy):
        x1, y1, x2, y2 = view.boxes_xyxy[rng.integers(len(view.boxes_xyxy))]
        x += min(0, (x1 + x2) / 2 - x) + max(0, (x1 + x2) / 2 - (x + w))
        y += min(0, (y1 + y2) / 2 - y) + max(0, (y1 + y2) / 2 - (y + h))
    return x, y, w, h
