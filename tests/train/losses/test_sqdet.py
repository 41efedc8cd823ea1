from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes.ops import decode
from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import slow_iou
from tests.train.losses.loss_cases import SPEC, SPEC_2017, gradients, make_batch, make_loss, make_raw, sigmoid, softmax
from train.data.batch import Batch
from train.losses import PARTS, SqdetLossConfig
from train.models.raw_output import RawOutput

SETTINGS = {
    "box": 2.0,
    "confidence_positive": 1.25,
    "confidence_negative": 0.75,
    "classes": 1.5,
    "smoothing": 0.1,
    "teacher": 0.3,
    "box_beta": 0.2,
}


def _slow_loss(raw: RawOutput, batch: Batch, config: SqdetLossConfig, spec: ModelSpec) -> dict[str, float]:
    """The four parts anchor by anchor, from their definitions."""
    deltas, logits, confidence = (value.detach().numpy() for value in vars(raw).values())
    sums = dict.fromkeys(PARTS, 0.0)
    classes = logits.shape[2]
    for n in range(len(deltas)):
        boxes = decode(deltas[n], spec)
        labelled = batch.labelled[n].numpy()
        for i in range(len(boxes)):
            p, q = sigmoid(confidence[n, i]), softmax(logits[n, i])
            weight = float(batch.positive_weight[n, i])
            if weight > 0:
                for error in np.abs(deltas[n, i] - batch.deltas[n, i].numpy()):
                    beta = config.box_beta
                    sums["box"] += weight * (error**2 / (2 * beta) if error < beta else error - beta / 2)
                iou = slow_iou(boxes[i], batch.boxes_xyxy[n, i].numpy())
                sums["conf_pos"] -= weight * (iou * math.log(p) + (1 - iou) * math.log(1 - p))
                sure = (1 - config.smoothing) * (1 - config.teacher)
                target = config.smoothing / classes + batch.class_probabilities[n, i].numpy() * (
                    (1 - config.smoothing) * config.teacher
                )
                target[batch.class_ids[n, i]] += sure
                sums["class"] -= weight * (target * np.log(q)).sum()
            if batch.negative[n, i]:
                here = p * q[labelled].sum()
                sums["conf_neg"] -= here**2 * math.log(1 - here)
    weights = (config.box, config.confidence_positive, config.confidence_negative, config.classes)
    objects = max(float(batch.positive_weight.sum()), 1)
    return {name: weight * sums[name] / objects for name, weight in zip(PARTS, weights, strict=True)}


@pytest.mark.parametrize("spec", [pytest.param(SPEC, id="paper's geometry"), pytest.param(SPEC_2017, id="2017")])
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.sampled_from([0.3, 1.0, 3.0]))
def test_parts_are_the_loop_over_anchors(spec: ModelSpec, seed: int, counts: list[int], size: float):
    rng = np.random.default_rng(seed)
    labelled = rng.random((len(counts), spec.num_classes)) < 0.7
    labelled[0] |= rng.random() < 0.5  # often an image that is labelled wholly
    batch, raw = make_batch(rng, counts, labelled, spec), make_raw(rng, len(counts), size, spec)
    parts = make_loss("sqdet", spec, **SETTINGS)(raw, batch)
    expected = _slow_loss(raw, batch, SqdetLossConfig(**SETTINGS), spec)
    for name in PARTS:
        assert parts[name].item() == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name


# -- gradients ------------------------------------------------------------------------------------------------


def test_gradients_are_the_slopes():
    """Against differences. The IoU target and the focal weight carry no gradient by design, so they are held."""
    batch, raw = make_batch(np.random.default_rng(2), [2, 0, 3]), make_raw(np.random.default_rng(3), 3)
    loss = make_loss("sqdet")
    deltas, logits, confidence = vars(raw).values()
    assert torch.autograd.gradcheck(lambda d: loss.loss_box(RawOutput(d, logits, confidence), batch), (deltas,))
    assert torch.autograd.gradcheck(lambda c: loss.loss_class(RawOutput(deltas, c, confidence), batch), (logits,))
    assert torch.autograd.gradcheck(
        lambda c: loss.loss_confidence_positive(RawOutput(deltas, logits, c), batch), (confidence,)
    )


@pytest.mark.parametrize("partly", [False, True], ids=["wholly labelled", "partly labelled"])
def test_the_gradient_of_a_negative(partly: bool):
    """d/dc of -log(1 - s p) with p = sigmoid(c) is s p (1 - p) / (1 - s p); times the focal weight (s p)^2."""
    rng = np.random.default_rng(4)
    labelled = np.ones((1, SPEC.num_classes), bool)
    labelled[0, :2] = not partly
    batch, raw = make_batch(rng, [0], labelled), make_raw(rng, 1)
    grads = gradients(make_loss("sqdet").loss_confidence_negative(raw, batch), raw)
    p = raw.confidence_logits.detach().sigmoid()
    s = (raw.class_logits.detach().softmax(dim=2) * batch.labelled[:, None]).sum(dim=2)
    torch.testing.assert_close(grads["confidence_logits"], (s * p) ** 2 * s * p * (1 - p) / (1 - s * p))


def test_ignored_anchors_get_no_gradient():
    rng = np.random.default_rng(7)
    batch, raw = make_batch(rng, [4]), make_raw(rng, 1)
    batch.negative[:] = False
    grads = gradients(sum(make_loss("sqdet")(raw, batch).values()), raw)
    ignored = batch.positive_weight[0] == 0
    assert ignored.any()
    for name, grad in grads.items():
        assert not grad[0, ignored].any(), name
        assert grad[0, ~ignored].any(), name


def test_a_perfect_answer_costs_little_and_every_mistake_costs_more():
    rng = np.random.default_rng(12)
    batch = make_batch(rng, [2, 1])
    positive = batch.positive_weight > 0
    confidence = torch.where(positive, 12.0, -12.0).double()
    logits = torch.nn.functional.one_hot(batch.class_ids, SPEC.num_classes).double() * 20
    loss = make_loss("sqdet", smoothing=0.0, teacher=0.0)

    def total(**values: torch.Tensor) -> float:
        return sum(loss(RawOutput(**values), batch).values()).item()

    right = {"deltas": batch.deltas, "class_logits": logits, "confidence_logits": confidence}
    assert total(**right) < 1e-3
    for name, value in right.items():
        assert total(**(right | {name: -value if name != "deltas" else value + 0.5})) > 0.5, name
