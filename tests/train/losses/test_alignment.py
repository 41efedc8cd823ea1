"""Task-aligned assignment for a whole batch at once, against loops over images, objects and cells."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import random_boxes, slow_iou
from train.losses.alignment import assign_aligned, covered, may_find

INPUT_WH = (96, 64)
STRIDES = np.repeat([8.0, 16.0, 32.0], [96, 24, 6])
CENTRES = np.array([(x * s, y * s) for s in (8, 16, 32) for y in range(64 // s) for x in range(96 // s)], float)


def slow_assign(
    scores: np.ndarray, boxes: np.ndarray, objects: list[np.ndarray], ids: list[np.ndarray], cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """object_ids and weight, (N, A), image by image."""
    found, weights = np.full(scores.shape[:2], -1), np.zeros(scores.shape[:2])
    before = 0
    for n, (own, class_ids) in enumerate(zip(objects, ids)):
        iou = np.array([[slow_iou(box, one) for box in boxes[n]] for one in own]).reshape(len(own), len(CENTRES))
        wanted = np.zeros_like(iou, dtype=bool)
        alignment = np.zeros_like(iou)
        for j, (x1, y1, x2, y2) in enumerate(own):
            for a, ((cx, cy), stride) in enumerate(zip(CENTRES, STRIDES)):
                near_x = abs(cx - (x1 + x2) / 2) <= max((x2 - x1) / 2, 0.75 * stride)
                near_y = abs(cy - (y1 + y2) / 2) <= max((y2 - y1) / 2, 0.75 * stride)
                side = max(x2 - x1, y2 - y1) / stride
                if near_x and near_y and side <= 14 and (side >= 0.7 or stride == 8):
                    alignment[j, a] = scores[n, a, class_ids[j]] ** 0.5 * iou[j, a] ** 4 + 1e-9
            best = np.argsort(-alignment[j], kind="stable")[:cells]
            wanted[j, best] = alignment[j, best] > 0
        for a in range(len(CENTRES)):
            rivals = np.nonzero(wanted[:, a])[0]
            if len(rivals):
                found[n, a] = before + rivals[iou[rivals, a].argmax()]
        for j in range(len(own)):
            (mine,) = np.nonzero(found[n] == before + j)
            if len(mine):
                weights[n, mine] = alignment[j, mine] / alignment[j, mine].max() * iou[j, mine].max()
        before += len(own)
    return found, weights


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.sampled_from([1, 4, 200]))
def test_cells_and_weights_are_those_of_the_loops(seed: int, counts: list[int], cells: int):
    rng = np.random.default_rng(seed)
    objects = [random_boxes(rng, count, INPUT_WH) for count in counts]
    ids = [rng.integers(0, 3, count) for count in counts]
    boxes = np.concatenate([CENTRES - rng.uniform(2, 30, (126, 2)), CENTRES + rng.uniform(2, 30, (126, 2))], axis=1)
    boxes = np.stack([boxes + rng.normal(0, 3, boxes.shape) for _ in counts])
    scores = rng.uniform(0, 1, (len(counts), 126, 3))
    expected_ids, expected = slow_assign(scores, boxes, objects, ids, cells)
    found = assign_aligned(
        torch.from_numpy(scores),
        torch.from_numpy(boxes),
        torch.from_numpy(np.concatenate(objects)).double(),
        torch.from_numpy(np.concatenate(ids)),
        torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
        torch.from_numpy(CENTRES),
        torch.from_numpy(STRIDES),
        cells,
    )
    # Cells of no overlap at all are equally good, and which of them count is a matter of the order.
    np.testing.assert_allclose(found.weight, expected, atol=1e-6)
    certain = expected > 1e-6
    np.testing.assert_array_equal(found.object_ids[certain], expected_ids[certain])


def test_a_tiny_object_is_for_the_finest_grid_and_a_large_one_is_not():
    objects = torch.tensor([[40.0, 24.0, 42.0, 26.0], [-40.0, -40.0, 100.0, 100.0]])
    possible = may_find(objects, torch.from_numpy(CENTRES), torch.from_numpy(STRIDES))
    assert set(STRIDES[possible[0]]) == {8.0}
    assert set(STRIDES[possible[1]]) == {16.0, 32.0}  # 140 px are more than 14 strides of 8


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_covered_is_the_share_of_the_box(seed: int, counts: list[int]):
    rng = np.random.default_rng(seed)
    ignored = [random_boxes(rng, count, INPUT_WH) for count in counts]
    boxes = np.stack([random_boxes(rng, 20, INPUT_WH) for _ in counts])
    found = covered(
        torch.from_numpy(boxes),
        torch.from_numpy(np.concatenate(ignored)),
        torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
    )
    for n, around in enumerate(ignored):
        for i, (x1, y1, x2, y2) in enumerate(boxes[n].tolist()):
            shares = [
                max(0.0, min(x2, b[2]) - max(x1, b[0]))
                * max(0.0, min(y2, b[3]) - max(y1, b[1]))
                / ((x2 - x1) * (y2 - y1))
                for b in around.tolist()
            ]
            if all(abs(share - 0.5) > 1e-4 for share in shares):
                assert found[n, i] == any(share > 0.5 for share in shares)
