from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sqdet_cv.boxes.ops import encode
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.spec.grid import Grid
from tests.helpers import random_boxes, slow_iou
from tests.train.losses.loss_cases import gradients, make_raw, sigmoid, softmax, to_dtype
from train.common.errors import TrainError
from train.data.batch import Batch, collate, make_row
from train.data.dense import DenseTargets
from train.data.transforms.geometry import LabeledImage
from train.losses import TaskAlignedLoss, TaskAlignedLossConfig
from train.losses.boxes import decode
from train.models.raw_output import RawOutput

SPEC = ModelSpec(
    tuple("abcde"),
    (96, 64),
    tuple(Grid((64 // s, 96 // s), ((5.0 * s, 5.0 * s),), stride=s) for s in (8, 16, 32)),
)
LABEL_PARTS = ("conf", "class", "box", "l1")
TEACHER_PARTS = tuple(f"teacher_{name}" for name in LABEL_PARTS)


def make_batch(rng: np.random.Generator, counts: list[int], ignored: float = 0.0, labelled: bool = True) -> Batch:
    rows = []
    for count in counts:
        view = LabeledImage(
            np.zeros((64, 96, 3), np.uint8),
            random_boxes(rng, count, SPEC.input_wh, smallest=6),
            rng.integers(0, 5, count),
            rng.random(count) < ignored,
            rng.uniform(0.5, 1, count).astype(np.float32),
            rng.dirichlet(np.ones(5), count).astype(np.float32),
        )
        rows.append(make_row(view, np.full(5, labelled), SPEC, with_targets=False))
    return to_dtype(collate(rows, SPEC), torch.float64)


def make_loss(**changes: object) -> TaskAlignedLoss:
    return TaskAlignedLoss(TaskAlignedLossConfig(**changes), SPEC).double()


def make_taught(rng: np.random.Generator, images: int) -> DenseTargets:
    scores = rng.uniform(0, 1, (images, SPEC.num_anchors, 5)) ** 6
    boxes = np.stack([random_boxes(rng, SPEC.num_anchors, SPEC.input_wh, smallest=6) for _ in range(images)])
    return DenseTargets(torch.from_numpy(scores), torch.from_numpy(boxes).double())


def slow_giou(a: list[float], b: list[float]) -> float:
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    iou = slow_iou(np.array(a), np.array(b))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    union = areas / (1 + iou)
    return iou - (hull - union) / hull


def box_terms(raw: RawOutput, n: int, a: int, box: list[float]) -> tuple[float, float]:
    """1 - GIoU and smooth L1 of one cell."""
    cx, cy, w, h = SPEC.anchors_cxcywh[a].tolist()
    dx, dy, dw, dh = raw.deltas[n, a].tolist()
    pw, ph = w * np.exp(min(dw, SPEC.size_delta_cap)), h * np.exp(min(dh, SPEC.size_delta_cap))
    px, py = cx + w * dx, cy + h * dy
    predicted = [px - pw / 2, py - ph / 2, px + pw / 2, py + ph / 2]
    wanted = encode(np.array([box]), SPEC, np.array([a]))[0]
    offs = np.abs(wanted - [dx, dy, dw, dh])
    return 1 - slow_giou(predicted, box), float(np.where(offs < 0.1, offs**2 / 0.2, offs - 0.05).sum())


def test_parts_from_labels_are_the_loops():
    rng = np.random.default_rng(0)
    batch, raw = make_batch(rng, [3, 0, 2]), make_raw(rng, 3, 0.7, SPEC)
    weights = {"confidence": 1.5, "classes": 0.5, "box": 3.0, "l1": 0.25}
    loss = make_loss(**weights)
    loss.class_weights.copy_(torch.tensor([0.5, 1.0, 1.5, 2.0, 0.7]))
    parts = loss(raw, batch)
    log_classes = raw.class_logits.log_softmax(dim=2)
    boxes = decode(raw.deltas, loss.anchors_cxcywh, SPEC.size_delta_cap)
    object_ids, alignment = loss.assign(log_classes, raw.confidence_logits, boxes, batch)
    sums = dict.fromkeys(LABEL_PARTS, 0.0)
    for n, a in np.ndindex(3, SPEC.num_anchors):
        goal, said = float(alignment[n, a]), sigmoid(raw.confidence_logits[n, a].item())
        sums["conf"] -= goal * np.log(said) + (1 - goal) * np.log(1 - said)
        j = int(object_ids[n, a])
        if j < 0:
            continue
        weight, class_id = goal * float(batch.object_weights[j]), int(batch.object_class_ids[j])
        right = softmax(raw.class_logits[n, a].detach().numpy())[class_id]
        sums["class"] -= weight * float(loss.class_weights[class_id]) * np.log(right)
        box, l1 = box_terms(raw, n, a, batch.object_boxes_xyxy[j].tolist())
        sums["box"] += weight * box
        sums["l1"] += weight * l1
    divisor = max(float(alignment.sum()), 1.0)
    factors = dict(zip(LABEL_PARTS, weights.values()))
    assert tuple(parts) == LABEL_PARTS
    for name, value in sums.items():
        assert parts[name].item() == pytest.approx(factors[name] * value / divisor, rel=1e-6), name


def test_parts_from_a_teacher_are_the_loops():
    rng = np.random.default_rng(1)
    batch, raw, taught = make_batch(rng, [1, 2]), make_raw(rng, 2, 0.7, SPEC), make_taught(rng, 2)
    loss = make_loss(teacher=2.0)
    parts = loss(raw, batch, taught)
    sums, divisor = dict.fromkeys(TEACHER_PARTS, 0.0), 0.0
    for n, a in np.ndindex(2, SPEC.num_anchors):
        scores = taught.scores[n, a].numpy()
        goal, shares = min(scores.sum(), 0.995), scores / scores.sum()
        divisor += goal * (goal > 0.05)
        said, classes = sigmoid(raw.confidence_logits[n, a].item()), softmax(raw.class_logits[n, a].detach().numpy())
        sums["teacher_conf"] += goal * np.log(goal / said) + (1 - goal) * np.log((1 - goal) / (1 - said))
        if goal > 0.03:
            sums["teacher_class"] += goal * (shares * np.log(shares / classes)).sum()
        if goal > 0.08:
            box, l1 = box_terms(raw, n, a, taught.boxes_xyxy[n, a].tolist())
            sums["teacher_box"] += goal * box
            sums["teacher_l1"] += goal * l1
    for name, factor in zip(TEACHER_PARTS, (1.0, 1.0, 2.0, 0.5)):
        assert parts[name].item() == pytest.approx(2 * factor * sums[name] / max(divisor, 1), rel=1e-5), name


def test_a_net_that_says_what_its_teacher_says_pays_nothing():
    rng = np.random.default_rng(2)
    batch, taught = make_batch(rng, [0]), make_taught(rng, 1)
    total = taught.scores.sum(dim=2).clamp(max=0.995)
    deltas = encode(taught.boxes_xyxy[0].numpy(), SPEC, np.arange(SPEC.num_anchors))
    said = RawOutput(torch.from_numpy(deltas)[None], taught.scores.log(), torch.logit(total))
    parts = make_loss()(said, batch, taught)
    assert all(abs(parts[name].item()) < 1e-6 for name in TEACHER_PARTS)


def test_background_counts_only_where_all_classes_are_labelled():
    rng = np.random.default_rng(3)
    raw = make_raw(rng, 1, 0.7, SPEC)
    whole = make_batch(np.random.default_rng(4), [2])
    unknown = replace(whole, labelled=torch.tensor([[True, True, True, True, False]]))
    grads = {}
    for name, batch in (("whole", whole), ("unknown", unknown)):
        grads[name] = gradients(sum(make_loss()(raw, batch).values()), raw)["confidence_logits"][0] != 0
    assert grads["whole"].all()
    assert 0 < grads["unknown"].sum() < len(grads["unknown"])


def test_a_difficult_object_is_neither_right_nor_wrong():
    """The cells whose boxes lie in it have no gradient; the others learn that there is nothing."""
    rng = np.random.default_rng(5)
    batch, raw = make_batch(rng, [1], ignored=1.0), make_raw(rng, 1, 0.1, SPEC)
    batch.ignored_boxes_xyxy[:] = torch.tensor([[0.0, 0.0, 40.0, 64.0]])
    with torch.no_grad():
        raw.deltas[..., 2:] = -2.0  # boxes within a stride of their cells
    grad = gradients(sum(make_loss()(raw, batch).values()), raw)["confidence_logits"][0]
    x = torch.from_numpy(SPEC.anchors_cxcywh[:, 0].copy())
    finest = torch.arange(SPEC.num_anchors) < 96
    y = torch.from_numpy(SPEC.anchors_cxcywh[:, 1].copy())
    assert not grad[finest & (x > 8) & (x < 32) & (y > 8) & (y < 56)].any()
    assert (grad[finest & (x > 48)] > 0).all()


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3], ids=["all zero", "usual", "extreme logits"])
@pytest.mark.parametrize("counts", [[0], [0, 3], [150, 0]], ids=["none", "one without", "crowd"])
@pytest.mark.parametrize("labelled", [True, False])
def test_loss_and_gradients_are_finite_in_float32(size: float, counts: list[int], labelled: bool):
    rng = np.random.default_rng(6)
    batch = to_dtype(make_batch(rng, counts, 0.3, labelled), torch.float32)
    raw = RawOutput(
        *(v.detach().float().requires_grad_() for v in vars(make_raw(rng, len(counts), size, SPEC)).values())
    )
    taught = make_taught(rng, len(counts))
    taught = DenseTargets(taught.scores.float(), taught.boxes_xyxy.float())
    parts = make_loss().float()(raw, batch, taught)
    assert tuple(parts) == LABEL_PARTS + TEACHER_PARTS
    assert all(torch.isfinite(value) for value in parts.values()), parts
    assert all(torch.isfinite(grad).all() for grad in gradients(sum(parts.values()), raw).values())


def test_rare_classes_weigh_more_and_the_mean_over_objects_is_one():
    loss, counts = make_loss(), [1000, 100, 10, 1, 0]
    loss.weigh_classes(counts)
    weights = loss.class_weights.numpy()
    assert (np.diff(weights[:4]) >= 0).all() and weights[0] < 1 < weights[2]
    counted = np.maximum(counts, 1)
    assert (weights * counted).sum() / counted.sum() == pytest.approx(1)
    plain = make_loss(balance=0.0)
    plain.weigh_classes(counts)
    np.testing.assert_allclose(plain.class_weights, 1)


@pytest.mark.parametrize(("name", "value"), [("box", -1.0), ("cells", 0), ("balance", -0.5), ("teacher", -1.0)])
def test_bad_weights_are_named(name: str, value: float):
    with pytest.raises(TrainError, match=f"--{name} {value}"):
        TaskAlignedLossConfig(**{name: value})
