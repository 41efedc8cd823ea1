"""Detections drawn into an image."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from ..detections import Detection, Detections
from ..util.images import check_image
from ..util.opencv_text import printable

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL_HEIGHT = 22  # pixels of a capital letter of FONT at scale 1
SMALLEST_CAPITAL = 6  # below it the strokes run together

GOLDEN_RATIO = 0.618034  # steps of it round the hue circle keep neighbouring class ids far apart


def draw(
    image_bgr: np.ndarray,
    detections: Detections,
    *,
    line_width: int | None = None,
    text_height: int | None = None,
) -> np.ndarray:
    """A copy of the image with boxes, labels and scores; the better a detection, the further on top.

    A tag that does not fit the image's width loses its score, then shrinks, then is left out.

    Args:
        image_bgr: (H, W, 3) uint8; stays as it is.
        detections: in pixels of this image. Letters outside ASCII appear as "?" in OpenCV 4.
        line_width: pixels; None: in proportion to the image.
        text_height: pixels of a capital letter; None: in proportion to the image.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SqdetError: the image is not such an array.
    """
    check_image(image_bgr)
    image = np.ascontiguousarray(image_bgr).copy()
    height, width = image.shape[:2]
    size = (height * width) ** 0.5  # the geometric mean is fair to panoramas
    line_width = line_width or max(1, round(size / 250))
    text_height = text_height or max(8, round(size / 50))
    worst_first = list(detections)[::-1]
    for found in worst_first:
        _draw_box(image, found, line_width)
    for found in worst_first:  # after all boxes, so that no line crosses a text
        _draw_tag(image, found, line_width, text_height)
    return image


def write_text(image_bgr: np.ndarray, text: str, corner_xy: tuple[int, int], scale: float) -> None:
    """Writes white text with a dark rim, readable on any image, into the image itself.

    Args:
        image_bgr: (H, W, 3) uint8.
        corner_xy: the lower left corner of the first letter, in pixels.
        scale: 1 has capital letters of 22 pixels.
    """
    text, stroke = printable(text), max(1, round(1.5 * scale))
    # The rim is the text itself, moved. A thicker stroke does not do: OpenCV 5 spaces it more widely.
    for dx, dy in [(-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)]:
        color = (0, 0, 0) if dx else (255, 255, 255)
        cv2.putText(image_bgr, text, (corner_xy[0] + dx, corner_xy[1] + dy), FONT, scale, color, stroke, cv2.LINE_AA)


def class_color(class_id: int) -> tuple[int, int, int]:
    """The colour (B, G, R) of a class: always the same, and well apart from those of its neighbours."""
    hue = (0.05 + class_id * GOLDEN_RATIO) % 1.0
    value = (1.0, 0.8)[class_id // 10 % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.8, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def _draw_box(image: np.ndarray, found: Detection, line_width: int) -> None:
    height, width = image.shape[:2]
    inset = line_width // 2  # a thick line is drawn around its centre: keep its outer half in the image
    x1, y1, x2, y2 = (round(value) for value in found.box_xyxy)
    top_left = (min(max(x1, inset), width - 1), min(max(y1, inset), height - 1))
    bottom_right = (max(min(x2, width) - 1 - inset, top_left[0]), max(min(y2, height) - 1 - inset, top_left[1]))
    # Upright lines on whole pixels need no anti-aliasing: it would only blur them.
    cv2.rectangle(image, top_left, bottom_right, class_color(found.class_id), line_width)


def _draw_tag(image: np.ndarray, found: Detection, line_width: int, text_height: int) -> None:
    height, width = image.shape[:2]
    fitted = _fit_text(found, width, height, text_height)
    if fitted is None:
        return
    text, text_height, padding, (tag_width, tag_height) = fitted
    x1, y1 = (round(value) - line_width // 2 for value in found.box_xyxy[:2])  # the outer edge of the box's line
    left = min(max(x1, 0), width - tag_width)
    top = y1 - tag_height + line_width if y1 - tag_height >= 0 else y1  # above the box, else inside it
    top = min(max(top, 0), height - tag_height)
    color = class_color(found.class_id)
    cv2.rectangle(image, (left, top), (left + tag_width - 1, top + tag_height - 1), color, cv2.FILLED)
    baseline = (left + padding, top + padding + text_height)
    scale, stroke = _font(text_height)
    cv2.putText(image, text, baseline, FONT, scale, _text_color(color), stroke, cv2.LINE_AA)


def _fit_text(
    found: Detection, width: int, height: int, text_height: int
) -> tuple[str, int, int, tuple[int, int]] | None:
    """The text, its height, the padding and the (width, height) of a tag no larger than the image."""
    label = printable(found.label)
    for capital in (text_height, min(text_height, SMALLEST_CAPITAL)):
        for text in (f"{label} {found.score:.2f}", label):
            scale, stroke = _font(capital)
            (text_width, _), descent = cv2.getTextSize(text, FONT, scale, stroke)
            padding = max(2, capital // 3)
            tag = (text_width + 2 * padding, capital + padding + max(padding, descent))
            if tag[0] <= width and tag[1] <= height:
                return text, capital, padding, tag
    return None


def _font(capital_height: int) -> tuple[float, int]:
    """Scale and stroke width of FONT for capitals of that many pixels."""
    return capital_height / CAPITAL_HEIGHT, max(1, round(capital_height / 9))


def _text_color(background_bgr: tuple[int, int, int]) -> tuple[int, int, int]:
    blue, green, red = background_bgr
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return (0, 0, 0) if luma > 120 else (255, 255, 255)
