from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes.ops import box_iou, cxcywh_to_xyxy, decode, xyxy_to_cxcywh
from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import make_spec, random_boxes, slow_iou
from train.data.assign import Targets, assign, unique_anchors

SPEC = make_spec(grid_hw=(5, 7), anchors_wh=((12, 12), (20, 30), (60, 40)))
GEOMETRIES = [pytest.param({}, id="paper"), pytest.param({"delta_order": "xyhw", "grid_transposed": True}, id="2017")]
seeds = st.integers(0, 2**32 - 1)


def _assign(boxes: object, *, ids=None, ignore=None, weights=None, spec: ModelSpec = SPEC) -> Targets:
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    n = len(boxes)
    return assign(
        boxes,
        np.arange(n) if ids is None else np.asarray(ids),
        np.zeros(n, bool) if ignore is None else np.asarray(ignore),
        np.ones(n, np.float32) if weights is None else np.asarray(weights, np.float32),
        np.zeros((n, spec.num_classes), np.float32),
        spec,
    )


def _slow_owners(boxes: np.ndarray, ignore: np.ndarray, spec: ModelSpec) -> tuple[list[int], list[bool]]:
    """The object of each anchor (-1: none) and whether it is a negative, by the rule's words.

    The IoU is the tested one: a small object inside two anchors of a shape ties them up to the last bit.
    """
    anchors = cxcywh_to_xyxy(spec.anchors_cxcywh)
    iou = box_iou(anchors, boxes).tolist()
    real = [j for j in range(len(boxes)) if not ignore[j]]
    owners = [-1] * len(anchors)
    few = {j: sorted(range(len(anchors)), key=lambda i: -iou[i][j])[:4] for j in real}
    for i, row in enumerate(iou):
        best = max(real, key=lambda j: row[j], default=None)
        if best is not None and (row[best] > 0.5 or row[best] > 0.3 and i in few[best]):
            owners[i] = best
    taken: set[int] = set()
    for j in sorted(real, key=lambda j: -max(row[j] for row in iou)):
        free = [i for i in range(len(anchors)) if i not in taken]
        anchor = max(free, key=lambda i: iou[i][j])
        if iou[anchor][j] == 0:
            anchor = min(free, key=lambda i: np.abs(anchors[i] - boxes[j]).sum())
        owners[anchor] = j
        taken.add(anchor)
    negative = [owner < 0 and max(row, default=0) < 0.4 for owner, row in zip(owners, iou, strict=True)]
    return owners, negative


@pytest.mark.parametrize("changes", GEOMETRIES)
@given(seed=seeds, count=st.integers(0, 8))
def test_targets_are_the_rule_written_out(changes: dict, seed: int, count: int):
    spec = make_spec(grid_hw=(5, 7), anchors_wh=SPEC.grid.anchors_wh, **changes)
    rng = np.random.default_rng(seed)
    boxes, ids = random_boxes(rng, count, spec.input_wh, smallest=3), rng.integers(0, 5, count)
    ignore, weights = rng.random(count) < 0.25, rng.uniform(0.1, 1, count).astype(np.float32)
    probabilities = rng.uniform(0.1, 1, (count, spec.num_classes)).astype(np.float32)
    targets = assign(boxes, ids, ignore, weights, probabilities, spec)
    owners, negative = _slow_owners(boxes, ignore, spec)
    assert targets.negative.tolist() == negative
    decoded = decode(targets.deltas, spec)
    for i, owner in enumerate(owners):
        if owner < 0:
            assert targets.positive_weight[i] == targets.class_ids[i] == 0
            assert not targets.deltas[i].any()
            assert not targets.class_probabilities[i].any()
        else:
            assert targets.class_ids[i] == ids[owner]
            expected_weight = weights[owner] * min(1, 8 / owners.count(owner))
            assert targets.positive_weight[i] == pytest.approx(expected_weight, rel=1e-6)
            np.testing.assert_array_equal(targets.boxes_xyxy[i], boxes[owner])
            np.testing.assert_array_equal(targets.class_probabilities[i], probabilities[owner])
            np.testing.assert_allclose(decoded[i], boxes[owner], atol=1e-3)


@given(seeds, st.integers(1, 20))
def test_every_object_has_an_anchor(seed: int, count: int):
    boxes = random_boxes(np.random.default_rng(seed), count, SPEC.input_wh, smallest=1)
    targets = _assign(boxes)
    assert set(targets.class_ids[targets.positive_weight > 0]) == set(range(count))


def test_a_small_object_counts_like_a_large_one():
    """The large one is above IoU 0.5 with ten times as many anchors."""
    spec = make_spec(input_wh=(256, 256), grid_hw=(15, 15), anchors_wh=((24, 24), (150, 150), (180, 150)))
    small, large = [100, 100, 120, 122], [40, 40, 200, 195]
    targets = _assign([small, large], spec=spec)
    weight = [targets.positive_weight[(targets.positive_weight > 0) & (targets.class_ids == i)] for i in range(2)]
    assert len(weight[1]) >= 20 and weight[1].sum() == pytest.approx(8)
    assert 1 <= len(weight[0]) <= 4 and (weight[0] == 1).all()


def test_no_object_makes_every_anchor_a_negative():
    targets = _assign([])
    assert targets.negative.all()
    assert not targets.positive_weight.any()
    assert {name: (value.dtype.name, value.shape) for name, value in vars(targets).items()} == {
        "boxes_xyxy": ("float32", (105, 4)),
        "deltas": ("float32", (105, 4)),
        "class_ids": ("int64", (105,)),
        "class_probabilities": ("float32", (105, SPEC.num_classes)),
        "positive_weight": ("float32", (105,)),
        "negative": ("bool", (105,)),
        "near_ignored": ("bool", (105,)),
    }


def test_an_anchor_that_is_the_object_gets_zero_deltas():
    anchor = 52
    targets = _assign(cxcywh_to_xyxy(SPEC.anchors_cxcywh[anchor]), ids=[3], weights=[0.5])
    np.testing.assert_allclose(targets.deltas[anchor], 0, atol=1e-5)
    assert (targets.class_ids[anchor], targets.positive_weight[anchor]) == (3, 0.5)


def test_identical_objects_get_different_anchors():
    box = [30, 20, 52, 48]
    targets = _assign([box, box, box])
    owners = targets.class_ids[targets.positive_weight > 0]
    assert set(owners) == {0, 1, 2}


def test_an_object_beyond_every_anchor_gets_the_nearest():
    spec = make_spec(grid_hw=(3, 3), anchors_wh=((8, 8),))
    targets = _assign([90, 60, 96, 64], spec=spec)
    (positive,) = np.nonzero(targets.positive_weight)
    assert positive.tolist() == [8]
    np.testing.assert_allclose(decode(targets.deltas, spec)[8], [90, 60, 96, 64], atol=1e-4)


def test_an_ignored_object_gets_no_anchor_and_makes_no_negative_near():
    box = cxcywh_to_xyxy(SPEC.anchors_cxcywh[52])
    targets = _assign(box, ignore=[True])
    assert not targets.positive_weight.any()
    iou = np.array([slow_iou(anchor, box) for anchor in cxcywh_to_xyxy(SPEC.anchors_cxcywh)])
    assert targets.negative.tolist() == (iou < 0.4).tolist()
    assert targets.near_ignored.tolist() == (iou >= 0.4).tolist()
    assert 0 < (~targets.negative).sum() < len(iou)


def test_only_ignored_objects_have_anchors_near_ignored():
    boxes = cxcywh_to_xyxy(SPEC.anchors_cxcywh[[10, 52]])
    targets = _assign(boxes, ignore=[False, True])
    assert targets.near_ignored[52]
    assert not targets.near_ignored[10]


# -- the paper's assignment -----------------------------------------------------------------------------------


def _slow_unique_anchors(boxes: np.ndarray, spec: ModelSpec) -> list[int]:
    """imdb.read_batch: anchors from the best on; the first that is free and overlaps, else the nearest free one."""
    anchors = spec.anchors_cxcywh
    iou = box_iou(cxcywh_to_xyxy(anchors), boxes).tolist()
    taken: list[int] = []
    for j, box in enumerate(xyxy_to_cxcywh(boxes)):
        for i in sorted(range(len(anchors)), key=lambda i: -iou[i][j]):
            if iou[i][j] > 0 and i not in taken:
                taken.append(i)
                break
        else:
            distance = [sum((a - b) ** 2 for a, b in zip(anchor, box, strict=True)) for anchor in anchors]
            taken.append(min((i for i in range(len(anchors)) if i not in taken), key=lambda i: distance[i]))
    return taken


@pytest.mark.parametrize("changes", GEOMETRIES)
@given(seed=seeds, count=st.integers(0, 12))
def test_unique_anchors_are_the_papers_code(changes: dict, seed: int, count: int):
    """Small anchors and objects at the border: many that no anchor overlaps."""
    spec = make_spec(grid_hw=(3, 5), anchors_wh=((6, 6), (9, 14)), **changes)
    boxes = random_boxes(np.random.default_rng(seed), count, spec.input_wh, smallest=2)
    boxes[::2, 2:] = boxes[::2, :2] + 3
    anchor_ids = unique_anchors(boxes, spec)
    assert anchor_ids.dtype == np.int64
    assert anchor_ids.tolist() == _slow_unique_anchors(boxes, spec)
    assert len(set(anchor_ids)) == count


def test_earlier_objects_choose_first():
    box = cxcywh_to_xyxy(SPEC.anchors_cxcywh[[52]])
    assert unique_anchors(np.concatenate([box, box]), SPEC)[0] == 52
    assert unique_anchors(np.concatenate([box + 2, box]), SPEC)[0] == 52


def test_more_objects_than_anchors_share():
    spec = make_spec(grid_hw=(1, 1))  # two anchors
    anchor_ids = unique_anchors(np.tile(np.float32([[40, 20, 60, 44]]), (5, 1)), spec)
    assert anchor_ids.tolist() == [0, 1, 0, 1, 0]
