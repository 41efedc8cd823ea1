"""Anchor shapes by k-means over the boxes of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from ..common.errors import TrainError
from .cache import read_image
from .sample import Sample


def shape_iou(a_wh: np.ndarray, b_wh: np.ndarray) -> np.ndarray:
    """IoU of boxes that share their centre: (N, 2) and (M, 2) to (N, M)."""
    overlap = np.minimum(a_wh[:, None], b_wh[None]).prod(axis=2)
    return overlap / (a_wh.prod(axis=1)[:, None] + b_wh.prod(axis=1)[None] - overlap)


def _iou_distance(a_wh: np.ndarray, b_wh: np.ndarray) -> np.ndarray:
    return 1 - shape_iou(a_wh, b_wh)


def _euclidean_distance(a_wh: np.ndarray, b_wh: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a_wh[:, None] - b_wh[None], axis=2)


# How far apart two shapes are: (N, 2) and (M, 2) to (N, M).
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    # YOLO9000, arXiv 1612.08242, section 2: a small box counts as a large one does
    "iou": _iou_distance,
    # in pixels, as the 2017 project found its nine
    "euclidean": _euclidean_distance,
}


def cluster_shapes(
    shapes_wh: np.ndarray, count: int, seed: int = 0, metric: str = "iou", rounds: int = 300
) -> np.ndarray:
    """k-means from a k-means++ start, until no shape changes its cluster or for `rounds`.

    Args:
        shapes_wh: (n, 2), all positive.
        metric: a key of METRICS.

    Returns:
        (count, 2) float64, by area.

    Raises:
        TrainError: fewer than `count` of the shapes are different.
    """
    different = len(np.unique(shapes_wh.round(3), axis=0))  # smaller differences are rounding
    if different < count:
        raise TrainError(f"{different} different box shapes in the data; {count} anchor shapes need at least as many")
    centres = _spread_start(shapes_wh, count, METRICS[metric], np.random.default_rng(seed))
    owner = None
    for _ in range(rounds):
        new_owner = nearest(shapes_wh, centres, metric)
        if owner is not None and (new_owner == owner).all():
            break
        owner = new_owner
        # An empty cluster keeps its centre.
        centres = np.array(
            [shapes_wh[owner == k].mean(axis=0) if (owner == k).any() else centres[k] for k in range(count)]
        )
    return centres[np.argsort(centres.prod(axis=1))]


def nearest(shapes_wh: np.ndarray, centres_wh: np.ndarray, metric: str = "iou") -> np.ndarray:
    """(n,) int: the centre that each shape belongs to; the first of equals."""
    return METRICS[metric](shapes_wh, centres_wh).argmin(axis=1)


def best_iou(shapes_wh: np.ndarray, centres_wh: np.ndarray) -> np.ndarray:
    """(n,): the IoU of each shape with the best of the centres, in (0, 1]. Its mean measures a set of anchors."""
    return shape_iou(shapes_wh, centres_wh).max(axis=1)


def _spread_start(shapes_wh: np.ndarray, count: int, distance: Callable, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each next centre is drawn with a probability proportional to the squared distance to those chosen."""
    chosen = [rng.integers(len(shapes_wh))]
    while len(chosen) < count:
        squares = distance(shapes_wh, shapes_wh[chosen]).min(axis=1).clip(min=0) ** 2
        chosen.append(rng.choice(len(shapes_wh), p=squares / squares.sum()))
    return shapes_wh[chosen].astype(np.float64)


def network_shapes(samples: Sequence[Sample], size_wh: tuple[int, int]) -> np.ndarray:
    """(n, 2) float64: width and height of all boxes after stretching each image to size_wh."""
    shapes = [np.zeros((0, 2))]
    # An image is read only where its XML does not say its size; then this takes long.
    for sample in tqdm([s for s in samples if len(s.boxes_xyxy)], desc="box shapes", unit="image", delay=1):
        image_wh = sample.size_wh or read_image(sample.image_path).shape[1::-1]
        shapes.append((sample.boxes_xyxy[:, 2:] - sample.boxes_xyxy[:, :2]) * (np.array(size_wh) / image_wh))
    return np.concatenate(shapes)


def search_anchors(
    shapes_wh: np.ndarray, counts: Sequence[int], seed: int = 0, metric: str = "iou"
) -> dict[int, np.ndarray]:
    """For each of `counts` the (count, 2) anchor shapes of `cluster_shapes`."""
    return {
        count: cluster_shapes(shapes_wh, count, seed, metric)
        for count in tqdm(counts, desc="k-means", unit="K", delay=1)
    }


def find_anchors(samples: Sequence[Sample], size: int, count: int, seed: int) -> np.ndarray:
    """(count, 2) anchor shapes for the samples' boxes after stretching each image to size x size."""
    return cluster_shapes(network_shapes(samples, (size, size)), count, seed)
