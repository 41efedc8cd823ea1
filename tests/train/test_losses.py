from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes import decode_deltas
from sqdet_cv.spec import ModelSpec
from tests.helpers import make_spec, random_boxes, slow_iou
from train.data.loader import Batch
from train.losses import DetectionLoss, LossConfig
from train.models.squeezedet import RawOutput
from train.targets import assign

SPEC = make_spec(grid_hw=(2, 3), anchors_wh=((20, 20), (50, 36)))
CONFIG = LossConfig(
    box=2.0, confidence_positive=1.25, confidence_negative=0.75, classes=1.5, smoothing=0.1, box_beta=0.2
)
PARTS = ["box", "conf_pos", "conf_neg", "class"]


def make_batch(rng: np.random.Generator, counts: list[int], labelled: np.ndarray | None = None) -> Batch:
    """A photo per entry of `counts`, with that many objects; all float tensors are float64."""
    rows = []
    for count in counts:
        boxes, ids = random_boxes(rng, count, SPEC.input_wh, smallest=8), rng.integers(0, SPEC.num_classes, count)
        ignore, weights = rng.random(count) < 0.2, rng.uniform(0.3, 1, count).astype(np.float32)
        rows.append(vars(assign(boxes, ids, ignore, weights, SPEC)))
    stacked = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    stacked = {name: value.double() if value.is_floating_point() else value for name, value in stacked.items()}
    if labelled is None:
        labelled = np.ones((len(counts), SPEC.num_classes), bool)
    return Batch(images=torch.zeros(len(counts), 3, 1, 1), labelled=torch.from_numpy(labelled), **stacked)


def make_raw(rng: np.random.Generator, photos: int, size: float = 1.0) -> RawOutput:
    a, c = SPEC.num_anchors, SPEC.num_classes
    shapes = ((photos, a, 4), (photos, a, c), (photos, a))
    return RawOutput(*(torch.from_numpy(rng.normal(0, size, shape)).requires_grad_() for shape in shapes))


def make_loss(config: LossConfig = CONFIG, spec: ModelSpec = SPEC) -> DetectionLoss:
    return DetectionLoss(config, torch.from_numpy(spec.anchors_cxcywh.copy()), spec.size_delta_cap).double()


def _gradients(total: torch.Tensor, raw: RawOutput) -> dict[str, torch.Tensor]:
    given_ = torch.autograd.grad(total, list(vars(raw).values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if grad is None else grad
        for (name, value), grad in zip(vars(raw).items(), given_, strict=True)
    }


def _slow_loss(raw: RawOutput, batch: Batch, config: LossConfig) -> dict[str, float]:
    """The four parts anchor by anchor, from their definitions."""
    deltas, logits, confidence = (value.detach().numpy() for value in vars(raw).values())
    sums = dict.fromkeys(PARTS, 0.0)
    classes = logits.shape[2]
    for n in range(len(deltas)):
        boxes = decode_deltas(deltas[n], SPEC)
        labelled = batch.labelled[n].numpy()
        for i in range(len(boxes)):
            p = 1 / (1 + math.exp(-confidence[n, i]))
            q = np.exp(logits[n, i]) / np.exp(logits[n, i]).sum()
            weight = float(batch.positive_weight[n, i])
            if weight > 0:
                for error in np.abs(deltas[n, i] - batch.deltas[n, i].numpy()):
                    beta = config.box_beta
                    sums["box"] += weight * (error**2 / (2 * beta) if error < beta else error - beta / 2)
                iou = slow_iou(boxes[i], batch.boxes_xyxy[n, i].numpy())
                sums["conf_pos"] -= weight * (iou * math.log(p) + (1 - iou) * math.log(1 - p))
                target = np.full(classes, config.smoothing / classes)
                target[batch.class_ids[n, i]] += 1 - config.smoothing
                sums["class"] -= weight * (target * np.log(q)).sum()
            if batch.negative[n, i]:
                here = p * q[labelled].sum()
                sums["conf_neg"] -= here**2 * math.log(1 - here)
    weights = (config.box, config.confidence_positive, config.confidence_negative, config.classes)
    objects = max(float(batch.positive_weight.sum()), 1)
    return {name: weight * sums[name] / objects for name, weight in zip(PARTS, weights, strict=True)}


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.sampled_from([0.3, 1.0, 3.0]))
def test_parts_are_the_loop_over_anchors(seed: int, counts: list[int], size: float):
    rng = np.random.default_rng(seed)
    labelled = rng.random((len(counts), SPEC.num_classes)) < 0.7
    labelled[0] |= rng.random() < 0.5  # often a photo that is labelled wholly
    batch, raw = make_batch(rng, counts, labelled), make_raw(rng, len(counts), size)
    parts = make_loss()(raw, batch)
    assert list(parts) == PARTS
    expected = _slow_loss(raw, batch, CONFIG)
    for name in PARTS:
        assert parts[name].item() == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name


WEIGHTS = {"box": "box", "conf_pos": "confidence_positive", "conf_neg": "confidence_negative", "class": "classes"}


@pytest.mark.parametrize(("part", "field"), WEIGHTS.items(), ids=WEIGHTS)
def test_a_weight_scales_its_part_alone(part: str, field: str):
    batch = make_batch(np.random.default_rng(0), [2, 3])
    raw = make_raw(np.random.default_rng(1), 2)
    before = make_loss()(raw, batch)
    after = make_loss(replace(CONFIG, **{field: 3 * getattr(CONFIG, field)}))(raw, batch)
    for name in PARTS:
        assert after[name].item() == pytest.approx(before[name].item() * (3 if name == part else 1))


# -- gradients ------------------------------------------------------------------------------------------------


def test_gradients_are_the_slopes():
    """Against differences. The IoU target and the focal weight carry no gradient by design, so they are held."""
    batch, raw = make_batch(np.random.default_rng(2), [2, 0, 3]), make_raw(np.random.default_rng(3), 3)
    loss = make_loss()
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
    grads = _gradients(make_loss().loss_confidence_negative(raw, batch), raw)
    p = raw.confidence_logits.detach().sigmoid()
    s = (raw.class_logits.detach().softmax(dim=2) * batch.labelled[:, None]).sum(dim=2)
    torch.testing.assert_close(grads["confidence_logits"], (s * p) ** 2 * s * p * (1 - p) / (1 - s * p))


def test_the_target_of_a_positive_carries_no_gradient():
    batch, raw = make_batch(np.random.default_rng(5), [3]), make_raw(np.random.default_rng(6), 1)
    grads = _gradients(make_loss().loss_confidence_positive(raw, batch), raw)
    assert not grads["deltas"].any()
    assert grads["confidence_logits"].any()


def test_ignored_anchors_get_no_gradient():
    rng = np.random.default_rng(7)
    batch, raw = make_batch(rng, [4]), make_raw(rng, 1)
    batch.negative[:] = False
    grads = _gradients(sum(make_loss()(raw, batch).values()), raw)
    ignored = batch.positive_weight[0] == 0
    assert ignored.any()
    for name, grad in grads.items():
        assert not grad[0, ignored].any(), name
        assert grad[0, ~ignored].any(), name


# -- photos that are labelled for some classes ----------------------------------------------------------------


def test_a_photo_labelled_for_nothing_has_no_negative():
    """Its boxes teach, its background does not: the gradient there is exactly zero."""
    rng = np.random.default_rng(8)
    labelled = np.ones((2, SPEC.num_classes), bool)
    labelled[1] = False
    batch, raw = make_batch(rng, [2, 3], labelled), make_raw(rng, 2, 3.0)
    grads = _gradients(sum(make_loss()(raw, batch).values()), raw)
    negative, positive = batch.negative[1], batch.positive_weight[1] > 0
    assert negative.any()
    assert not grads["confidence_logits"][1, negative].any()
    assert not grads["class_logits"][1, negative].any()
    assert (grads["confidence_logits"][1, positive] != 0).all()
    assert (grads["confidence_logits"][0, batch.negative[0]] != 0).all()


def test_negatives_never_teach_the_classes():
    rng = np.random.default_rng(9)
    batch, raw = make_batch(rng, [3, 2], rng.random((2, SPEC.num_classes)) < 0.5), make_raw(rng, 2)
    grads = _gradients(sum(make_loss()(raw, batch).values()), raw)
    assert not grads["class_logits"][batch.positive_weight == 0].any()


@pytest.mark.parametrize(("sure_of", "punished"), [(0, False), (3, True)], ids=["unlisted class", "listed class"])
def test_an_anchor_sure_of_an_unlisted_class_is_barely_punished(sure_of: int, punished: bool):
    labelled = np.ones((1, SPEC.num_classes), bool)
    labelled[0, 0] = False
    rng = np.random.default_rng(10)
    batch, raw = make_batch(rng, [0], labelled), make_raw(rng, 1)
    with torch.no_grad():
        raw.confidence_logits.fill_(4.0)
        raw.class_logits.zero_()[..., sure_of] = 12.0
    grad = _gradients(make_loss().loss_confidence_negative(raw, batch), raw)["confidence_logits"].abs().max()
    assert (grad > 0.5) if punished else (grad < 1e-9)


# -- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4], ids=["all zero", "usual", "extreme logits"])
@pytest.mark.parametrize("counts", [[0], [0, 0], [0, 3]], ids=["no object", "two photos without", "one without"])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0], ids=["unlabelled", "partial", "labelled"])
def test_loss_and_gradients_are_finite_in_float32(size: float, counts: list[int], share: float):
    rng = np.random.default_rng(11)
    batch = make_batch(rng, counts, rng.random((len(counts), SPEC.num_classes)) < share)
    batch = Batch(**{k: v.float() if v.is_floating_point() else v for k, v in vars(batch).items()})
    raw = RawOutput(*(v.detach().float().requires_grad_() for v in vars(make_raw(rng, len(counts), size)).values()))
    total = sum(make_loss().float()(raw, batch).values())
    assert torch.isfinite(total)
    assert all(torch.isfinite(grad).all() for grad in _gradients(total, raw).values())


def test_a_perfect_answer_costs_little_and_every_mistake_costs_more():
    rng = np.random.default_rng(12)
    batch = make_batch(rng, [2, 1])
    positive = batch.positive_weight > 0
    confidence = torch.where(positive, 12.0, -12.0).double()
    logits = torch.nn.functional.one_hot(batch.class_ids, SPEC.num_classes).double() * 20
    loss = make_loss(replace(CONFIG, smoothing=0.0))

    def total(**values: torch.Tensor) -> float:
        return sum(loss(RawOutput(**values), batch).values()).item()

    right = {"deltas": batch.deltas, "class_logits": logits, "confidence_logits": confidence}
    assert total(**right) < 1e-3
    for name, value in right.items():
        assert total(**(right | {name: -value if name != "deltas" else value + 0.5})) > 0.5, name
