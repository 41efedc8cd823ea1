from __future__ import annotations

import numpy as np
import pytest
import torch

from sqdet_cv.dnn.preprocess import images_to_blob
from tests.helpers import make_spec
from train.data.batch import TARGETS, Batch, collate, make_row
from train.data.transforms.geometry import LabeledImage


def make_view(seed: int, count: int, ignored: int = 0) -> LabeledImage:
    rng = np.random.default_rng(seed)
    xy, wh = rng.uniform(0, 30, (count, 2)), rng.uniform(5, 30, (count, 2))
    return LabeledImage(
        rng.integers(0, 256, (64, 96, 3), np.uint8),
        np.concatenate([xy, xy + wh], axis=1).astype(np.float32),
        rng.integers(0, 5, count),
        np.arange(count) < ignored,
        rng.uniform(0.5, 1, count).astype(np.float32),
        rng.dirichlet(np.ones(5), count).astype(np.float32),
    )


def make_batch(views: list[LabeledImage], with_targets: bool = True, **changes: object) -> Batch:
    spec = make_spec(**changes)
    return collate([make_row(view, np.ones(5, bool), spec, with_targets) for view in views], spec)


@pytest.mark.parametrize("rgb", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1 / 64])
def test_images_are_the_runtimes_blob(rgb: bool, scale: float):
    """The bytes become the floats that cv2.dnn is given for the same images."""
    views = [make_view(0, 0), make_view(1, 2)]
    changes = {"mean_bgr": (100.5, 117.0, 123.25), "scale": scale, "rgb": rgb}
    images = make_batch(views, **changes).images
    expected = images_to_blob([view.image_bgr for view in views], make_spec(**changes))
    np.testing.assert_allclose(images.numpy(), expected, rtol=1e-6, atol=1e-6)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_objects_to_find_and_objects_to_ignore_are_apart():
    views = [make_view(0, 3, ignored=1), make_view(1, 0), make_view(2, 2, ignored=2)]
    batch = make_batch(views)
    assert batch.object_image_ids.tolist() == [0, 0]
    assert batch.ignored_image_ids.tolist() == [0, 2, 2]
    np.testing.assert_array_equal(batch.object_boxes_xyxy, views[0].boxes_xyxy[1:])
    np.testing.assert_array_equal(batch.object_class_probabilities, views[0].class_probabilities[1:])
    np.testing.assert_array_equal(
        batch.ignored_boxes_xyxy, np.concatenate([views[0].boxes_xyxy[:1], views[2].boxes_xyxy])
    )


def test_targets_are_made_only_where_they_are_needed():
    batch = make_batch([make_view(0, 2)], with_targets=False)
    assert all(getattr(batch, name) is None for name in (*TARGETS, "object_anchor_ids"))
    moved = batch.to(torch.device("cpu"))
    assert len(moved) == 1 and moved.deltas is None
    assert torch.equal(moved.pixels_bgr, batch.pixels_bgr)
