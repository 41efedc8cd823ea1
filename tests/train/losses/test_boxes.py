from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes import ops
from tests.helpers import make_spec, random_boxes, slow_iou
from train.losses.boxes import decode, paired_box_iou, to_xywh

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("delta_order", ["xywh", "xyhw"])
@given(seed=seeds)
def test_decode_is_the_runtimes(delta_order: str, seed: int):
    spec = make_spec(grid_inset=1, delta_order=delta_order)
    deltas = np.random.default_rng(seed).normal(0, 3, (2, spec.num_anchors, 4)).astype(np.float32)
    deltas_xywh = to_xywh(torch.from_numpy(deltas), delta_order)
    tensors = decode(deltas_xywh, torch.from_numpy(spec.anchors_cxcywh.copy()), spec.size_delta_cap)
    np.testing.assert_allclose(tensors.numpy(), ops.decode(deltas, spec), rtol=1e-5, atol=1e-3)


@given(seeds, st.integers(0, 9))
def test_iou_is_that_of_each_pair(seed: int, count: int):
    rng = np.random.default_rng(seed)
    a, b = (random_boxes(rng, count, (50, 40), outside=10) for _ in range(2))
    iou = paired_box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(iou, [slow_iou(p, q) for p, q in zip(a, b, strict=True)], atol=1e-6)


def test_iou_broadcasts_and_adds_epsilon_to_the_union():
    a, b = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 1]]), torch.tensor([[0.0, 0, 2, 1]])
    assert paired_box_iou(a, b[:, None]).tolist() == [[0.5, 1.0]]
    assert paired_box_iou(a, b[:, None], epsilon=2.0).tolist() == [[pytest.approx(2 / 6), 2 / 4]]


def test_boxes_of_no_area_have_no_overlap_and_a_finite_iou():
    box = torch.tensor([[3.0, 3.0, 3.0, 3.0]])
    assert paired_box_iou(box, box).tolist() == [0.0]
