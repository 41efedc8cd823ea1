"""Anchor shapes by k-means over the boxes of a data set."""

from __future__ import annotations

import numpy as np


def shape_iou(a_wh: np.ndarray, b_wh: np.ndarray) -> np.ndarray:
    """IoU of boxes that share their centre: (N, 2) and (M, 2) to (N, M)."""
    overlap = np.minimum(a_wh[:, None], b_wh[None]).prod(axis=2)
    return overlap / (a_wh.prod(axis=1)[:, None] + b_wh.prod(axis=1)[None] - overlap)


def cluster_shapes(shapes_wh: np.ndarray, count: int, seed: int = 0, rounds: int = 300) -> np.ndarray:
    """k-means with distance 1 - IoU (YOLO9000, arXiv 1612.08242, section 2): a small box counts as a large one does.

    Args:
        shapes_wh: (n, 2), all positive, n >= count.

    Returns:
        (count, 2) float64, by area.
    """
    rng = np.random.default_rng(seed)
    centres = _spread_start(shapes_wh, count, rng)
    owner = None
    for _ in range(rounds):
        new_owner = shape_iou(shapes_wh, centres).argmax(axis=1)
        if owner is not None and (new_owner == owner).all():
            break
        owner = new_owner
        # An empty cluster keeps its centre.
        centres = np.array(
            [shapes_wh[owner == k].mean(axis=0) if (owner == k).any() else centres[k] for k in range(count)]
        )
    return centres[np.argsort(centres.prod(axis=1))]


def _spread_start(shapes_wh: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each next centre is drawn with a probability that grows with its distance to those chosen."""
    chosen = [rng.integers(len(shapes_wh))]
    while len(chosen) < count:
        distance = (1 - shape_iou(shapes_wh, shapes_wh[chosen]).max(axis=1)).clip(min=0) ** 2
        total = distance.sum()
        chosen.append(rng.choice(len(shapes_wh), p=distance / total if total > 0 else None))
    return shapes_wh[chosen].astype(np.float64)
