from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes.ops import decode
from sqdet_cv.boxes.postprocess import MAX_CANDIDATES, finish, select_convdet, select_decoded, suppress
from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import make_spec, random_boxes, slow_iou

seeds = st.integers(0, 2**32 - 1)


def _raw_output(spec: ModelSpec, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deltas, softmaxed class scores and confidences of a net that saw something."""
    rng = np.random.default_rng(seed)
    class_scores = rng.dirichlet(np.full(spec.num_classes, 0.3), spec.num_anchors).astype(np.float32)
    deltas = rng.normal(0, 0.4, (spec.num_anchors, 4)).astype(np.float32)
    return deltas, class_scores, rng.random(spec.num_anchors).astype(np.float32)


# -- candidates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("order", ["xywh", "xyhw"])
def test_candidates_are_all_pairs_above_the_threshold_best_first(threshold: float, order: str):
    spec = make_spec(delta_order=order)
    deltas, class_scores, confidence = _raw_output(spec, 1)
    boxes, class_ids, scores = select_convdet(deltas, class_scores, confidence, spec, threshold)

    all_boxes = decode(deltas, spec)
    expected = [
        (-(class_scores[i, c] * confidence[i]), i, c)
        for i in range(spec.num_anchors)
        for c in range(spec.num_classes)
        if class_scores[i, c] * confidence[i] > threshold
    ]
    expected.sort()
    assert len(scores) == len(expected)
    np.testing.assert_allclose(scores, [-score for score, _, _ in expected], rtol=1e-6)
    np.testing.assert_array_equal(class_ids, [c for _, _, c in expected])
    np.testing.assert_allclose(boxes, all_boxes[[i for _, i, _ in expected]].reshape(-1, 4), rtol=1e-6)


def test_the_threshold_is_strict():
    boxes, scores = np.zeros((2, 4), np.float32), np.float32([[0.5, 0.25], [0.25, 0.75]])
    assert select_decoded(boxes, scores, 0.5)[2].tolist() == [0.75]
    assert select_decoded(boxes, scores, 0.75)[2].tolist() == []


@given(seeds, st.floats(0.01, 0.6))
def test_both_heads_give_the_same_candidates(seed: int, threshold: float):
    spec = make_spec()
    deltas, class_scores, confidence = _raw_output(spec, seed)
    convdet = select_convdet(deltas, class_scores, confidence, spec, threshold)
    decoded = select_decoded(decode(deltas, spec), class_scores * confidence[:, None], threshold)
    for a, b in zip(convdet, decoded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threshold", [0.99, 1.0])
def test_nothing_above_the_threshold_gives_no_detections(threshold: float):
    spec = make_spec()
    deltas, class_scores, confidence = _raw_output(spec, 3)
    found = finish(*select_convdet(deltas, class_scores, confidence * 0.9, spec, threshold), spec, (50, 50), 0.4)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


def test_only_the_best_candidates_are_kept():
    rng = np.random.default_rng(0)
    scores = rng.permutation(np.linspace(0.2, 0.9, 2 * MAX_CANDIDATES)).reshape(-1, 2)
    boxes = rng.random((len(scores), 4))
    chosen, class_ids, kept = select_decoded(boxes, scores, 0.1)
    best = np.sort(scores.ravel())[::-1][:MAX_CANDIDATES]
    np.testing.assert_array_equal(kept, best)
    for box, class_id, score in zip(chosen, class_ids, kept, strict=True):
        (row,) = np.nonzero(scores[:, class_id] == score)[0]
        np.testing.assert_array_equal(box, boxes[row])


def test_equal_scores_keep_the_order_of_anchors_then_classes():
    boxes = np.arange(12).reshape(3, 4)
    chosen, class_ids, _ = select_decoded(boxes, np.full((3, 2), 0.5), 0.1)
    assert chosen[:, 0].tolist() == [0, 0, 4, 4, 8, 8]
    assert class_ids.tolist() == [0, 1, 0, 1, 0, 1]


# -- suppression ----------------------------------------------------------------------------------------------


def _greedy(boxes: np.ndarray, class_ids: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(class_ids[i] != class_ids[j] or slow_iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@given(seeds, st.integers(0, 40), st.sampled_from([0.1, 0.31, 0.45, 0.7]), st.sampled_from([0.0, 60.0]))
def test_suppress_is_greedy_per_class(seed: int, count: int, threshold: float, outside: float):
    """Also of boxes that lie partly or wholly left of or above the image, where no class may meet another."""
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, count, (60, 50), outside=outside)
    class_ids = rng.integers(0, 4, count)
    scores = rng.permutation(np.linspace(0.1, 1, count)).astype(np.float32)
    assert suppress(boxes, class_ids, scores, threshold).tolist() == _greedy(boxes, class_ids, scores, threshold)


def test_classes_do_not_suppress_each_other_outside_the_image():
    """cv2's batched suppression alone loses the second box."""
    boxes = np.float32([[0, 0, 300, 300], [-301, -301, 0, 0]])
    assert suppress(boxes, np.array([0, 1]), np.float32([0.9, 0.8]), 0.45).tolist() == [0, 1]


def test_a_suppressed_box_suppresses_nothing():
    """Middle box goes because of the first; the third overlaps only the middle one and stays (2017: it went)."""
    boxes = np.float32([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    assert suppress(boxes, np.zeros(3, int), np.float32([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


# -- to the image -------------------------------------------------------------------------------------------


def test_finish_scales_each_axis_clips_and_drops_what_is_outside():
    spec = make_spec(input_wh=(96, 64))
    boxes = np.float32([[24, 16, 48, 32], [-10, 32, 200, 100], [300, 0, 310, 10]])
    found = finish(boxes, np.array([1, 4, 1]), np.float32([0.9, 0.8, 0.7]), spec, (192, 640), 0.5)
    np.testing.assert_allclose(found.boxes_xyxy, [[48, 160, 96, 320], [0, 320, 192, 640]])
    assert found.labels == ("cat", "cow")
    np.testing.assert_allclose(found.scores, [0.9, 0.8])


@given(seeds)
def test_finished_detections_are_sorted_and_inside(seed: int):
    spec = make_spec()
    candidates = select_convdet(*_raw_output(spec, seed), spec, 0.1)
    found = finish(*candidates, spec, (37, 211), 0.4)
    assert 0 < len(found) <= len(candidates[2])
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= [37, 211, 37, 211]).all()
    assert found.labels == tuple(spec.labels[i] for i in found.class_ids)
