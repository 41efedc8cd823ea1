"""Random views of a photo; boxes follow. Every random number comes from the generator that is passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sqdet_cv.boxes import clip_boxes


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a training photo, and how often."""

    window: float = 0.8  # probability of a random window (zoom in, zoom out, shift, stretch); else the whole photo
    window_size: tuple[float, float] = (0.45, 1.4)  # width of that window, as a share of the photo's
    window_aspect: float = 1.33  # its aspect, relative to the photo's, lies between 1/this and this
    keep_visible: float = 0.3  # an object that keeps less of its area than this becomes `ignore`
    flip: float = 0.5  # probability of left-right
    colour: float = 0.8  # probability of a change of hue, saturation and brightness
    hue: float = 0.02  # largest shift, as a share of the colour circle
    saturation: float = 0.5  # factor between 1 - this and 1 + this
    brightness: float = 0.4  # factor between 1 - this and 1 + this


@dataclass(frozen=True, eq=False)
class View:
    """A photo at network size with its objects; as VocSample, boxes in pixels of `image_bgr`."""

    image_bgr: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    ignore: np.ndarray
    weights: np.ndarray


def random_view(
    view: View, size_wh: tuple[int, int], fill_bgr: tuple[float, ...], config: AugmentConfig, rng: np.random.Generator
) -> View:
    """An augmented copy of `view` at size_wh; where the window leaves the photo, `fill_bgr` shows."""
    height, width = view.image_bgr.shape[:2]
    window = (0.0, 0.0, float(width), float(height))
    if rng.random() < config.window:
        window = _random_window(view, config, rng)
    view = _cut(view, window, size_wh, fill_bgr, config.keep_visible)
    if rng.random() < config.flip:
        view = flip_horizontally(view)
    if rng.random() < config.colour:
        view = replace(view, image_bgr=_shift_colours(view.image_bgr, config, rng))
    return view


def _random_window(view: View, config: AugmentConfig, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """x, y, width, height of a window that holds the centre of a random object, if there is one."""
    height, width = view.image_bgr.shape[:2]
    low, high = config.window_size
    zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
    half_log_aspect = rng.uniform(-1, 1) * np.log(config.window_aspect) / 2
    w, h = width * zoom * np.exp(half_log_aspect), height * zoom * np.exp(-half_log_aspect)
    # A window smaller than the photo stays inside it; a larger one contains it.
    x = rng.uniform(min(0, width - w), max(0, width - w))
    y = rng.uniform(min(0, height - h), max(0, height - h))
    if len(view.boxes_xyxy):
        x1, y1, x2, y2 = view.boxes_xyxy[rng.integers(len(view.boxes_xyxy))]
        x += min(0, (x1 + x2) / 2 - x) + max(0, (x1 + x2) / 2 - (x + w))
        y += min(0, (y1 + y2) / 2 - y) + max(0, (y1 + y2) / 2 - (y + h))
    return x, y, w, h


def _cut(
    view: View,
    window_xywh: tuple[float, float, float, float],
    size_wh: tuple[int, int],
    fill_bgr: tuple[float, ...],
    keep_visible: float,
) -> View:
    x, y, w, h = window_xywh
    sx, sy = size_wh[0] / w, size_wh[1] / h
    # cv2 speaks of pixel centres, boxes of pixel borders: half a pixel apart before and after scaling
    matrix = np.array([[sx, 0, (0.5 - x) * sx - 0.5], [0, sy, (0.5 - y) * sy - 0.5]])
    image = cv2.warpAffine(
        view.image_bgr, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill_bgr
    )
    whole = (view.boxes_xyxy - np.float32([x, y, x, y])) * np.float32([sx, sy, sx, sy])
    boxes = clip_boxes(whole, size_wh)
    area = lambda b: (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])  # noqa: E731
    visible = area(boxes) / np.maximum(area(whole), 1e-6)
    seen = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1  # at least a pixel is left
    return View(
        image,
        boxes[seen],
        view.class_ids[seen],
        (view.ignore | (visible < keep_visible))[seen],
        view.weights[seen],
    )


def flip_horizontally(view: View) -> View:
    width = view.image_bgr.shape[1]
    boxes = view.boxes_xyxy[:, [2, 1, 0, 3]] * np.float32([-1, 1, -1, 1]) + np.float32([width, 0, width, 0])
    return replace(view, image_bgr=view.image_bgr[:, ::-1], boxes_xyxy=boxes)


def _shift_colours(image_bgr: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    hue, saturation, value = cv2.split(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2HSV))
    shift = rng.uniform(-config.hue, config.hue) * 180  # OpenCV's hue counts to 180
    saturate = 1 + rng.uniform(-config.saturation, config.saturation)
    brighten = 1 + rng.uniform(-config.brightness, config.brightness)
    levels = np.arange(256)
    hue = cv2.LUT(hue, ((levels + shift) % 180).astype(np.uint8))
    saturation = cv2.LUT(saturation, np.clip(levels * saturate, 0, 255).astype(np.uint8))
    value = cv2.LUT(value, np.clip(levels * brighten, 0, 255).astype(np.uint8))
    return cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR)
