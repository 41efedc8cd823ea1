from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import slow_iou
from tests.train.losses.loss_cases import SPEC, SPEC_2017, make_batch, make_loss, make_raw, sigmoid, softmax
from train.data.batch import Batch
from train.losses import PARTS, SqueezeDetLossConfig
from train.models.raw_output import RawOutput


def _slow_loss(raw: RawOutput, batch: Batch, config: SqueezeDetLossConfig, spec: ModelSpec) -> dict[str, float]:
    """_add_interpretation_graph and _add_loss_graph in loops over images and anchors."""
    deltas, logits, confidence = (value.detach().numpy() for value in vars(raw).values())
    photos, count = confidence.shape
    width, height = spec.input_wh
    total = len(batch.object_image_ids)
    owner = {}
    for j, key in enumerate(zip(batch.object_image_ids.tolist(), batch.object_anchor_ids.tolist(), strict=True)):
        assert key not in owner, "each object has an anchor of its own"
        owner[key] = j
    sums = dict.fromkeys(PARTS, 0.0)
    for n in range(photos):
        for i, (ax, ay, aw, ah) in enumerate(spec.anchors_cxcywh.tolist()):
            said = sigmoid(confidence[n, i])
            if (n, i) not in owner:
                if batch.near_ignored[n, i]:
                    continue
                if not batch.labelled[n].all():
                    said *= softmax(logits[n, i])[batch.labelled[n].numpy()].sum()
                sums["conf_neg"] += config.confidence_negative / max(count - total, 1) * said**2 / photos
                continue
            j = owner[n, i]
            weight = float(batch.object_weights[j])
            box = batch.object_boxes_xyxy[j].tolist()
            gx, gy, gw, gh = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
            d = dict(zip(spec.delta_order, deltas[n, i].tolist(), strict=True))
            targets = {"x": (gx - ax) / aw, "y": (gy - ay) / ah, "w": math.log(gw / aw), "h": math.log(gh / ah)}
            for letter, target in targets.items():
                sums["box"] += weight * config.box * (d[letter] - target) ** 2 / total

            grown = [math.exp(value) if value <= 1 else math.e * value for value in (d["w"], d["h"])]
            px, py, pw, ph = ax + aw * d["x"], ay + ah * d["y"], aw * grown[0], ah * grown[1]
            x1, x2 = (min(max(v, 0.0), width - 1) for v in (px - pw / 2, px + pw / 2))
            y1, y2 = (min(max(v, 0.0), height - 1) for v in (py - ph / 2, py + ph / 2))
            iou = slow_iou(np.array([x1, y1, x2 + 1, y2 + 1]), np.array(box))
            sums["conf_pos"] += weight * config.confidence_positive / total * (iou - said) ** 2 / photos

            p = softmax(logits[n, i])
            for k in range(len(p)):
                right = p[k] if k == int(batch.object_class_ids[j]) else 1 - p[k]
                sums["class"] -= weight * config.classes * math.log(right + 1e-16) / total
    return sums


CONFIGS = {
    "the code": {},
    "other weights": {"box": 2.0, "confidence_positive": 3.0, "confidence_negative": 1000.0, "classes": 4.0},
}


@pytest.mark.parametrize("spec", [pytest.param(SPEC, id="paper's geometry"), pytest.param(SPEC_2017, id="2017")])
@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.sampled_from([0.3, 1.5]))
def test_parts_are_the_codes_sums(spec: ModelSpec, changes: dict, seed: int, counts: list[int], size: float):
    rng = np.random.default_rng(seed)
    labelled = rng.random((len(counts), spec.num_classes)) < 0.7
    labelled[0] |= rng.random() < 0.5  # often an image that is labelled wholly
    batch, raw = make_batch(rng, counts, labelled, spec), make_raw(rng, len(counts), size, spec)
    parts = make_loss("squeezedet", spec, **changes)(raw, batch)
    expected = _slow_loss(raw, batch, SqueezeDetLossConfig(**changes), spec)
    for name in PARTS:
        assert parts[name].item() == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name


def test_gradients_are_the_slopes():
    """Against differences; the IoU target is held."""
    batch, raw = make_batch(np.random.default_rng(2), [2, 0, 3]), make_raw(np.random.default_rng(3), 3)
    loss = make_loss("squeezedet")
    deltas, logits, confidence = vars(raw).values()
    check = torch.autograd.gradcheck
    assert check(lambda d: loss.loss_box(RawOutput(d, logits, confidence), batch), (deltas,))
    assert check(lambda c: loss.loss_class(RawOutput(deltas, c, confidence), batch), (logits,))
    for part in (loss.loss_confidence_positive, loss.loss_confidence_negative):
        assert check(lambda c, part=part: part(RawOutput(deltas, logits, c), batch), (confidence,))
