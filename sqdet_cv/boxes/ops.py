"""Box formats, IoU and the anchor codec, in NumPy.

A box is in continuous pixel coordinates: a box that covers the whole of a 10 x 10 image is (0, 0, 10, 10).
"""

from __future__ import annotations

import numpy as np

from ..spec.detector_spec import ModelSpec


def xyxy_to_cxcywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """(..., 4) corners to (..., 4) centre x, centre y, width, height."""
    x1, y1, x2, y2 = np.moveaxis(np.asarray(boxes_xyxy), -1, 0)
    return np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], axis=-1)


def cxcywh_to_xyxy(boxes_cxcywh: np.ndarray) -> np.ndarray:
    """(..., 4) centre x, centre y, width, height to (..., 4) corners."""
    cx, cy, w, h = np.moveaxis(np.asarray(boxes_cxcywh), -1, 0)
    return np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=-1)


def clip_boxes(boxes_xyxy: np.ndarray, size_wh: tuple[float, float]) -> np.ndarray:
    """(..., 4) corners moved into an image of size_wh; a box outside it becomes one of zero area on its border."""
    width, height = size_wh
    return np.clip(boxes_xyxy, 0, np.asarray([width, height, width, height], np.float32))


def box_iou(boxes_a_xyxy: np.ndarray, boxes_b_xyxy: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair, (N, 4) and (M, 4) to (N, M), in [0, 1].

    Two boxes of zero area have IoU 0, also when they are equal.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 1], [5, 5, 6, 6]]))
    array([[0.5, 0. ]])
    """
    a = np.asarray(boxes_a_xyxy).reshape(-1, 1, 4)
    b = np.asarray(boxes_b_xyxy).reshape(1, -1, 4)
    overlap_wh = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    intersection = overlap_wh[..., 0] * overlap_wh[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    union = area_a + area_b - intersection
    return intersection / np.where(union > 0, union, 1)


def decode(deltas: np.ndarray, spec: ModelSpec, anchor_ids: np.ndarray | None = None) -> np.ndarray:
    """Network deltas to boxes_xyxy in input pixels (paper, equation 1), not clipped to the image.

    Args:
        deltas: (..., A, 4) in the spec's `delta_order`, A = num_anchors, or (n, 4) with `anchor_ids`.
        anchor_ids: (n,) int, the anchors that the n rows belong to; None: all of them, in order.

    Returns:
        (..., A, 4) or (n, 4) corners.

    >>> spec = ModelSpec.single(labels=("cat",), input_wh=(32, 32), grid_hw=(1, 1), anchors_wh=((8, 16),))
    >>> decode(np.float32([[0.5, 0, 0, np.log(2)]]), spec)
    array([[16.,  0., 24., 32.]], dtype=float32)
    """
    anchors = spec.anchors_cxcywh if anchor_ids is None else spec.anchors_cxcywh[anchor_ids]
    sizes = deltas[..., 2:] if spec.delta_order == "xywh" else deltas[..., :1:-1]
    wh = anchors[..., 2:] * np.exp(np.minimum(sizes, np.float32(spec.size_delta_cap)))
    centre = anchors[..., :2] + anchors[..., 2:] * deltas[..., :2]
    return np.concatenate([centre - wh / 2, centre + wh / 2], axis=-1)


def encode(boxes_xyxy: np.ndarray, spec: ModelSpec, anchor_ids: np.ndarray) -> np.ndarray:
    """The deltas that `decode` turns into these boxes: the inverse of the paper's equation 1.

    Args:
        boxes_xyxy: (n, 4) in input pixels, each of positive width and height.
        anchor_ids: (n,) int, the anchor that each box is encoded for.

    Returns:
        (n, 4) in the spec's `delta_order`.

    >>> spec = ModelSpec.single(labels=("cat",), input_wh=(32, 32), grid_hw=(1, 1), anchors_wh=((8, 16),))
    >>> encode(np.float32([[16, 8, 24, 24]]), spec, np.array([0]))
    array([[0.5, 0. , 0. , 0. ]], dtype=float32)
    """
    anchors = spec.anchors_cxcywh[anchor_ids]
    boxes = xyxy_to_cxcywh(boxes_xyxy)
    centre = (boxes[..., :2] - anchors[..., :2]) / anchors[..., 2:]
    sizes = np.log(boxes[..., 2:] / anchors[..., 2:])
    return np.concatenate([centre, sizes if spec.delta_order == "xywh" else sizes[..., ::-1]], axis=-1)


def mirror_boxes(boxes_xyxy: np.ndarray, width: int) -> np.ndarray:
    """(n, 4) corners mirrored left to right in an image of that width in pixels; float32 for float32."""
    return boxes_xyxy[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + np.array(
        [width, 0, width, 0], np.float32
    )
