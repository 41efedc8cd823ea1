"""Images cropped, rotated and mirrored, together with their boxes.

cv2 counts from pixel centres, boxes from pixel borders: before and after every scaling they are half a pixel apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sqdet_cv.boxes.ops import clip_boxes, mirror_boxes


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """An image (H, W, 3) uint8 BGR with its objects, whose fields are those of `Sample`; boxes in its own pixels."""

    image_bgr: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    ignore: np.ndarray
    weights: np.ndarray
    class_probabilities: np.ndarray


def crop_and_warp(
    view: LabeledImage,
    window_xywh: tuple[float, float, float, float],
    size_wh: tuple[int, int],
    fill_bgr: tuple[float, ...],
    keep_visible: float,
    degrees: float = 0.0,
) -> LabeledImage:
    """The window of the image, stretched to size_wh; where it leaves the image, `fill_bgr` shows.

    Args:
        window_xywh: in pixels of the image.
        keep_visible: an object that keeps less of its area than this becomes `ignore`; one of which less than a
            pixel is left is gone.
        degrees: by how much the image is first turned about the window's centre, counter-clockwise.
    """
    x, y, w, h = window_xywh
    sx, sy = size_wh[0] / w, size_wh[1] / h
    matrix = np.array([[sx, 0, (0.5 - x) * sx - 0.5], [0, sy, (0.5 - y) * sy - 0.5]])
    boxes_xyxy = view.boxes_xyxy
    if degrees:
        centre = (x + w / 2, y + h / 2)
        turn = cv2.getRotationMatrix2D((centre[0] - 0.5, centre[1] - 0.5), degrees, 1)
        matrix = matrix @ np.vstack([turn, (0, 0, 1)])
        boxes_xyxy = turn_boxes(boxes_xyxy, degrees, centre)
    image = _warp(view.image_bgr, matrix, size_wh, fill_bgr)
    whole = (boxes_xyxy - np.float32([x, y, x, y])) * np.float32([sx, sy, sx, sy])
    boxes = clip_boxes(whole, size_wh)
    area = lambda b: (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])  # noqa: E731
    visible = area(boxes) / np.maximum(area(whole), 1e-6)
    seen = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1  # at least a pixel is left
    return LabeledImage(
        image,
        boxes[seen],
        view.class_ids[seen],
        (view.ignore | (visible < keep_visible))[seen],
        view.weights[seen],
        view.class_probabilities[seen],
    )


def turn_boxes(boxes_xyxy: np.ndarray, degrees: float, centre_xy: tuple[float, float]) -> np.ndarray:
    """(n, 4) float32: upright boxes of objects turned about a point, counter-clockwise.

    The box around the turned corners is too large for nearly every object, because few fill their corners: at 45
    degrees it has twice the area of a square. This is the box around the turned inscribed ellipse, which fits better on
    the whole (arXiv 2109.13488).
    """
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 - centre_xy
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / 2
    # y points down, so counter-clockwise takes (1, 0) to (cos, -sin)
    middle = middle @ np.array([[cos, -sin], [sin, cos]]) + centre_xy
    half = np.hypot(half * abs(cos), half[:, ::-1] * abs(sin))
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def flip_horizontally(view: LabeledImage) -> LabeledImage:
    boxes = mirror_boxes(view.boxes_xyxy, view.image_bgr.shape[1])
    return replace(view, image_bgr=view.image_bgr[:, ::-1], boxes_xyxy=boxes)


def flip_vertically(view: LabeledImage) -> LabeledImage:
    height = view.image_bgr.shape[0]
    boxes = view.boxes_xyxy[:, [0, 3, 2, 1]] * np.float32([1, -1, 1, -1]) + np.float32([0, height, 0, height])
    return replace(view, image_bgr=view.image_bgr[::-1], boxes_xyxy=boxes)


def _warp(
    image_bgr: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int], fill_bgr: tuple[float, ...]
) -> np.ndarray:
    """cv2.warpAffine that does not alias: it reads four pixels of the image for one of its own, so an image that is
    more than twice too large is first averaged over areas, by a whole factor a side (as `resize_to_input` does). What
    is beyond a multiple of the factor, up to three pixels, is left out: OpenCV averages whole blocks many times faster.
    """
    height, width = image_bgr.shape[:2]
    scales = np.hypot(matrix[0, :2], matrix[1, :2])  # of the image's x and y
    fx, fy = (max(min(int(1 / scale), side), 1) for scale, side in zip(scales, (width, height)))
    if fx > 1 or fy > 1:
        small_wh = width // fx, height // fy
        blocks = image_bgr[: small_wh[1] * fy, : small_wh[0] * fx]
        image_bgr = cv2.resize(blocks, small_wh, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2], [0, 0, 1]])
    return cv2.warpAffine(
        image_bgr, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill_bgr
    )
