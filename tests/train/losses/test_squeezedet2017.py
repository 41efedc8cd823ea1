from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.spec.detector_spec import ModelSpec
from tests.train.losses.loss_cases import SPEC, SPEC_2017, gradients, make_batch, make_loss, make_raw, sigmoid, softmax
from train.data.batch import Batch
from train.losses import PARTS, SqueezeDet2017LossConfig
from train.models.raw_output import RawOutput


def _layer_anchors(spec: ModelSpec) -> list[tuple[float, float, float, float]]:
    """centre x, centre y, width, height in the order of LayerSetUp: x runs outside, y inside, shapes innermost.

    The layer knows only square inputs and grids; the other geometry is the spec's, which has its own tests.
    """
    if not spec.grid.transposed:
        return [tuple(map(float, anchor)) for anchor in spec.anchors_cxcywh]
    cells, size = spec.grid.hw[0], spec.input_wh[0]
    return [
        (x * size / (cells + 1), y * size / (cells + 1), w, h)
        for x in range(1, cells + 1)
        for y in range(1, cells + 1)
        for w, h in spec.grid.anchors_wh
    ]


def _slow_loss(raw: RawOutput, batch: Batch, config: SqueezeDet2017LossConfig, spec: ModelSpec) -> dict[str, float]:
    """Forward_cpu in loops: image by image, object by object, anchor by anchor."""
    deltas, logits, confidence = (value.detach().numpy() for value in vars(raw).values())
    photos, count = confidence.shape
    anchors = _layer_anchors(spec)
    width, height = spec.input_wh
    sums = dict.fromkeys(PARTS, 0.0)
    for n in range(photos):
        predicted = []
        for i, (cx, cy, w, h) in enumerate(anchors):
            dx, dy, third, fourth = deltas[n, i]
            dw, dh = (third, fourth) if spec.delta_order == "xywh" else (fourth, third)
            px, py = cx + w * dx, cy + h * dy
            pw, ph = w * math.exp(min(dw, spec.size_delta_cap)), h * math.exp(min(dh, spec.size_delta_cap))
            x1, x2 = (min(max(0.0, x), width - 1) for x in (px - pw / 2, px + pw / 2))
            y1, y2 = (min(max(0.0, y), height - 1) for y in (py - ph / 2, py + ph / 2))
            predicted.append((x1, y1, x2, y2))
        objects = [j for j, photo in enumerate(batch.object_image_ids.tolist()) if photo == n]
        divisor = max(len(objects), 1)
        told_nothing = [0] * count
        for j in objects:
            x1, y1, x2, y2 = batch.object_boxes_xyxy[j].tolist()
            weight = float(batch.object_weights[j])
            ious = []
            for a1, b1, a2, b2 in predicted:
                inside = max(0.0, min(a2, x2) - max(a1, x1)) * max(0.0, min(b2, y2) - max(b1, y1))
                ious.append(inside / ((a2 - a1) * (b2 - b1) + (x2 - x1) * (y2 - y1) - inside + 1e-7))
            best = ious.index(max(ious))
            for i in range(count):
                told_nothing[i] += i != best
            cx, cy, w, h = anchors[best]
            gw, gh = x2 - x1 + 1, y2 - y1 + 1
            gx, gy = x1 + 0.5 * gw, y1 + 0.5 * gh
            targets = {"x": (gx - cx) / w, "y": (gy - cy) / h, "w": math.log(gw / w + 1e-7)}
            targets["h"] = math.log(gh / h + 1e-7)
            for letter, said in zip(spec.delta_order, deltas[n, best], strict=True):
                sums["box"] += weight * config.box * (said - targets[letter]) ** 2 / divisor
            error = sigmoid(confidence[n, best]) - ious[best]
            sums["conf_pos"] += weight * config.confidence_positive * error**2 / divisor
            right = softmax(logits[n, best])[int(batch.object_class_ids[j])]
            sums["class"] -= weight * config.classes * math.log(right + 1e-7) / divisor
        for i in range(count):
            times = told_nothing[i] if objects else 1
            if batch.near_ignored[n, i]:
                times = 0
            said = sigmoid(confidence[n, i])
            if not batch.labelled[n].all():
                said *= softmax(logits[n, i])[batch.labelled[n].numpy()].sum()
            divided = max(count - len(objects), 1)
            sums["conf_neg"] += times * config.confidence_negative * said**2 / divided
    return {name: total / photos for name, total in sums.items()}


CONFIGS = {
    "the layer": {},
    "other weights": {"box": 2.0, "confidence_positive": 3.0, "confidence_negative": 1000.0, "classes": 4.0},
}


@pytest.mark.parametrize("spec", [pytest.param(SPEC, id="paper's geometry"), pytest.param(SPEC_2017, id="2017")])
@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.sampled_from([0.3, 1.0]))
def test_parts_are_the_layers_loops(spec: ModelSpec, changes: dict, seed: int, counts: list[int], size: float):
    rng = np.random.default_rng(seed)
    labelled = rng.random((len(counts), spec.num_classes)) < 0.7
    labelled[0] |= rng.random() < 0.5  # often an image that is labelled wholly
    batch, raw = make_batch(rng, counts, labelled, spec), make_raw(rng, len(counts), size, spec)
    parts = make_loss("squeezedet2017", spec, **changes)(raw, batch)
    expected = _slow_loss(raw, batch, SqueezeDet2017LossConfig(**changes), spec)
    for name in PARTS:
        assert parts[name].item() == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name


def test_gradients_are_the_slopes():
    """Against differences; which anchor an object has and its IoU are held."""
    batch, raw = make_batch(np.random.default_rng(2), [2, 0, 3]), make_raw(np.random.default_rng(3), 3)
    loss = make_loss("squeezedet2017")
    match = loss.match(raw, batch)
    deltas, logits, confidence = vars(raw).values()
    check = torch.autograd.gradcheck
    assert check(lambda d: loss.loss_box(RawOutput(d, logits, confidence), batch, match), (deltas,))
    assert check(lambda c: loss.loss_class(RawOutput(deltas, c, confidence), batch, match), (logits,))
    for part in (loss.loss_confidence_positive, loss.loss_confidence_negative):
        assert check(lambda c, part=part: part(RawOutput(deltas, logits, c), batch, match), (confidence,))


def test_objects_go_where_they_are_predicted_and_may_share_an_anchor():
    """All deltas throw the boxes far off but those of anchor 5, which lie on both objects."""
    rng = np.random.default_rng(0)
    batch, raw = make_batch(rng, [2], ignored=0.0), make_raw(rng, 1)
    batch.object_boxes_xyxy[:] = torch.tensor([[30.0, 20.0, 60.0, 50.0], [32.0, 20.0, 62.0, 50.0]])
    with torch.no_grad():
        raw.deltas[:] = torch.tensor([-50.0, -50.0, 0.0, 0.0])
        raw.deltas[0, 5] = 0
    match = make_loss("squeezedet2017").match(raw, batch)
    assert match.anchor_ids.tolist() == [5, 5]
    assert (match.iou > 0).all()


def test_an_object_that_no_prediction_meets_goes_to_the_first_anchor():
    rng = np.random.default_rng(0)
    batch, raw = make_batch(rng, [1], ignored=0.0), make_raw(rng, 1)
    with torch.no_grad():
        raw.deltas[:] = torch.tensor([-50.0, -50.0, 0.0, 0.0])
    match = make_loss("squeezedet2017").match(raw, batch)
    assert (match.anchor_ids.tolist(), match.iou.tolist()) == ([0], [0.0])


def test_repeated_negatives_grow_with_the_objects():
    """The quirk: three objects punish an anchor without object three times as much as one."""
    rng = np.random.default_rng(1)
    raw = make_raw(rng, 1)
    of = {n: make_batch(np.random.default_rng(2), [n], ignored=0.0) for n in (1, 3)}
    loss, grads = make_loss("squeezedet2017"), {}
    for n, batch in of.items():
        grads[n] = gradients(loss(raw, batch)["conf_neg"], raw)["confidence_logits"][0] * (SPEC.num_anchors - n)
        grads[n][loss.match(raw, batch).anchor_ids] = 0
    shared = (grads[1] > 0) & (grads[3] > 0)
    assert shared.any()
    torch.testing.assert_close(grads[3][shared], 3 * grads[1][shared])
