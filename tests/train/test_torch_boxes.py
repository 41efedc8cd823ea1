from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes import decode_deltas
from tests.helpers import make_spec, random_boxes, slow_iou
from train.torch_boxes import decode, elementwise_iou

seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_decode_is_the_runtimes(seed: int):
    spec = make_spec(grid_inset=1)
    deltas = np.random.default_rng(seed).normal(0, 3, (2, spec.num_anchors, 4)).astype(np.float32)
    tensors = decode(torch.from_numpy(deltas), torch.from_numpy(spec.anchors_cxcywh.copy()), spec.size_delta_cap)
    np.testing.assert_allclose(tensors.numpy(), decode_deltas(deltas, spec), rtol=1e-5, atol=1e-3)


@given(seeds, st.integers(0, 9))
def test_iou_is_that_of_each_pair(seed: int, count: int):
    rng = np.random.default_rng(seed)
    a, b = (random_boxes(rng, count, (50, 40), outside=10) for _ in range(2))
    iou = elementwise_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(iou, [slow_iou(p, q) for p, q in zip(a, b, strict=True)], atol=1e-6)


def test_boxes_of_no_area_have_no_overlap_and_a_finite_iou():
    box = torch.tensor([[3.0, 3.0, 3.0, 3.0]])
    assert elementwise_iou(box, box).tolist() == [0.0]
