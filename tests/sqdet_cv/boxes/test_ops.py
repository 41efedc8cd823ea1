from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sqdet_cv.boxes.ops import box_iou, clip_boxes, cxcywh_to_xyxy, decode, encode, xyxy_to_cxcywh
from tests.helpers import make_spec, random_boxes, slow_iou

coordinates = hnp.arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-1e4, 1e4))
seeds = st.integers(0, 2**32 - 1)
GEOMETRIES = [
    pytest.param({}, id="paper"),
    pytest.param({"delta_order": "xyhw"}, id="xyhw"),
    pytest.param({"grid_transposed": True, "grid_hw": (4, 3)}, id="transposed"),
    pytest.param({"delta_order": "xyhw", "grid_transposed": True, "size_delta_cap": math.inf}, id="2017 module"),
]


def test_conversions_of_known_boxes():
    boxes = [[0, 0, 10, 10], [2, 4, 6, 5], [3, 3, 3, 3]]
    centred = [[5, 5, 10, 10], [4, 4.5, 4, 1], [3, 3, 0, 0]]
    np.testing.assert_array_equal(xyxy_to_cxcywh(np.array(boxes)), centred)
    np.testing.assert_array_equal(cxcywh_to_xyxy(np.array(centred)), boxes)


@given(coordinates)
def test_conversions_undo_each_other(boxes: np.ndarray):
    np.testing.assert_allclose(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes, atol=1e-9)


@given(seeds, st.integers(0, 8), st.integers(0, 8))
def test_iou_matrix_is_a_loop_over_pairs(seed: int, n: int, m: int):
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, n, (50, 40), outside=10), random_boxes(rng, m, (50, 40), outside=10)
    iou = box_iou(a, b)
    assert iou.shape == (n, m)
    expected = np.array([[slow_iou(p, q) for q in b] for p in a]).reshape(n, m)
    np.testing.assert_allclose(iou, expected, atol=1e-6)
    np.testing.assert_allclose(iou, box_iou(b, a).T)


IOU_CASES = {
    "same box": ((1, 2, 5, 6), (1, 2, 5, 6), 1.0),
    "half": ((0, 0, 2, 2), (0, 0, 2, 1), 0.5),
    "a third": ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
    "touching": ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
    "apart on both axes": ((0, 0, 1, 1), (5, 5, 6, 6), 0.0),
    "zero area twice": ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
    "line in a box": ((0, 0, 4, 4), (1, 2, 3, 2), 0.0),
}


@pytest.mark.parametrize(("a", "b", "expected"), IOU_CASES.values(), ids=IOU_CASES)
def test_iou_of_known_pairs(a: tuple, b: tuple, expected: float):
    assert box_iou(np.array([a]), np.array([b])).item() == pytest.approx(expected)


def test_clip_moves_corners_into_the_image():
    boxes = np.array([[-5, -5, 5, 5], [8, 3, 20, 4], [30, -9, 40, -3], [1, 1, 2, 2]], np.float32)
    np.testing.assert_array_equal(
        clip_boxes(boxes, (10, 6)), [[0, 0, 5, 5], [8, 3, 10, 4], [10, 0, 10, 0], [1, 1, 2, 2]]
    )


@pytest.mark.parametrize("changes", GEOMETRIES)
@given(seed=seeds)
def test_decode_undoes_encode(changes: dict, seed: int):
    spec, rng = make_spec(**changes), np.random.default_rng(seed)
    anchor_ids = rng.integers(spec.num_anchors, size=20)
    boxes = random_boxes(rng, 20, spec.input_wh, outside=20)
    deltas = encode(boxes, spec, anchor_ids)
    np.testing.assert_allclose(decode(deltas, spec, anchor_ids), boxes, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("changes", GEOMETRIES)
@given(seed=seeds)
def test_decode_is_equation_1(changes: dict, seed: int):
    spec = make_spec(**changes)
    deltas = np.random.default_rng(seed).normal(0, 2, (2, spec.num_anchors, 4)).astype(np.float32)
    decoded = decode(deltas, spec)
    for n, i in np.ndindex(deltas.shape[:2]):
        cx, cy, w, h = (float(value) for value in spec.anchors_cxcywh[i])
        dx, dy, first, second = (float(value) for value in deltas[n, i])
        dw, dh = (first, second) if spec.delta_order == "xywh" else (second, first)
        dw, dh = min(dw, spec.size_delta_cap), min(dh, spec.size_delta_cap)
        cx, cy, w, h = cx + w * dx, cy + h * dy, w * math.exp(dw), h * math.exp(dh)
        expected = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        np.testing.assert_allclose(decoded[n, i], expected, rtol=1e-4, atol=1e-2)


def test_decoding_some_anchors_is_decoding_all_and_choosing():
    spec, rng = make_spec(), np.random.default_rng(0)
    deltas, ids = rng.normal(size=(spec.num_anchors, 4)).astype(np.float32), np.array([7, 0, 7, 23])
    np.testing.assert_array_equal(decode(deltas[ids], spec, ids), decode(deltas, spec)[ids])


@pytest.mark.parametrize("order", ["xywh", "xyhw"])
def test_the_cap_limits_growth_and_not_shrinking(order: str):
    spec = make_spec(size_delta_cap=math.log(4), delta_order=order, anchors_wh=((10, 20),), grid_hw=(1, 1))
    deltas = np.array([[0, 0, 500, 500]], np.float32)
    x1, y1, x2, y2 = decode(deltas, spec)[0]
    assert (x2 - x1, y2 - y1) == pytest.approx((40, 80), rel=1e-5)
    x1, y1, x2, y2 = decode(-deltas, spec)[0]
    assert (x2 - x1, y2 - y1) == (0, 0)


def test_the_default_cap_keeps_an_untrained_net_finite():
    spec = make_spec()
    assert np.isfinite(decode(np.full((spec.num_anchors, 4), 1e4, np.float32), spec)).all()
