"""What every loss with the four parts of SqueezeDet's keeps to; what each one computes is in test_loss_NAME.py."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from tests.train.losses.loss_cases import SPEC, SPEC_2017, gradients, make_batch, make_loss, make_raw, to_dtype
from train.losses import LOSSES, PARTS
from train.models.raw_output import RawOutput
from train.trainers.detection_config import FitConfig

OF_SQUEEZEDET = [name for name, (loss, *_) in LOSSES.items() if loss.needs_targets]
each_loss = pytest.mark.parametrize("name", OF_SQUEEZEDET)
# of a config, for each of the PARTS
WEIGHTS = ("box", "confidence_positive", "confidence_negative", "classes")


@each_loss
def test_the_parts_are_named_scalars(name: str):
    rng = np.random.default_rng(0)
    parts = make_loss(name)(make_raw(rng, 2), make_batch(rng, [2, 3]))
    assert tuple(parts) == PARTS
    assert all(value.shape == () and value > 0 for value in parts.values())


@each_loss
@pytest.mark.parametrize(("part", "field"), list(zip(PARTS, WEIGHTS, strict=True)), ids=PARTS)
def test_a_weight_scales_its_part_alone(name: str, part: str, field: str):
    batch, raw = make_batch(np.random.default_rng(0), [2, 3]), make_raw(np.random.default_rng(1), 2)
    before = make_loss(name)(raw, batch)
    after = make_loss(name, **{field: 3 * getattr(LOSSES[name][1](), field)})(raw, batch)
    for other in PARTS:
        assert after[other].item() == pytest.approx(before[other].item() * (3 if other == part else 1))


@each_loss
def test_fit_has_its_options_with_their_meaning(name: str):
    config_class = LOSSES[name][1]
    assert getattr(FitConfig(loss=name), name) == config_class()
    assert all(field.metadata["help"] for field in dataclasses.fields(config_class))
    loss = FitConfig(loss=name, **{name: config_class(box=7.0)}).make_loss(SPEC)
    assert (type(loss), loss.config.box) == (LOSSES[name][0], 7.0)


# -- gradients ------------------------------------------------------------------------------------------------


@each_loss
def test_the_iou_target_carries_no_gradient(name: str):
    batch, raw = make_batch(np.random.default_rng(5), [3]), make_raw(np.random.default_rng(6), 1)
    grads = gradients(make_loss(name)(raw, batch)["conf_pos"], raw)
    assert not grads["deltas"].any()
    assert grads["confidence_logits"].any()


@each_loss
def test_anchors_near_an_ignored_object_are_no_negatives(name: str):
    rng = np.random.default_rng(7)
    batch, raw = make_batch(rng, [3], ignored=1.0), make_raw(rng, 1)
    near = batch.near_ignored[0]
    assert near.any()
    assert not near.all()
    grad = gradients(sum(make_loss(name)(raw, batch).values()), raw)["confidence_logits"][0]
    assert not grad[near].any()
    assert (grad[~near] > 0).all()


# -- images that are labelled for some classes ----------------------------------------------------------------


@each_loss
def test_a_photo_labelled_for_nothing_has_no_negative(name: str):
    """Its boxes teach, its background does not: the gradient there is exactly zero."""
    rng = np.random.default_rng(8)
    labelled = np.ones((2, SPEC.num_classes), bool)
    labelled[1] = False
    batch, raw = make_batch(rng, [2, 3], labelled), make_raw(rng, 2)
    parts = make_loss(name)(raw, batch)
    positive = torch.autograd.grad(parts["conf_pos"], raw.confidence_logits, retain_graph=True)[0]
    negative = torch.autograd.grad(parts["conf_neg"], raw.confidence_logits)[0]
    assert positive[1].any()
    assert negative[0].any()
    assert not negative[1].any()


@each_loss
def test_background_never_teaches_the_classes(name: str):
    rng = np.random.default_rng(9)
    batch, raw = make_batch(rng, [3, 2], rng.random((2, SPEC.num_classes)) < 0.5), make_raw(rng, 2)
    assert not gradients(make_loss(name)(raw, batch)["conf_neg"], raw)["class_logits"].any()


@each_loss
@pytest.mark.parametrize(("sure_of", "punished"), [(0, False), (3, True)], ids=["unlisted class", "listed class"])
def test_an_anchor_sure_of_an_unlisted_class_is_not_punished(name: str, sure_of: int, punished: bool):
    labelled = np.ones((1, SPEC.num_classes), bool)
    labelled[0, 0] = False
    rng = np.random.default_rng(10)
    batch, raw = make_batch(rng, [0], labelled), make_raw(rng, 1)
    with torch.no_grad():
        raw.confidence_logits.fill_(1.0)
        raw.class_logits.zero_()[..., sure_of] = 20.0
    grad = gradients(make_loss(name)(raw, batch)["conf_neg"], raw)["confidence_logits"]
    wholly = gradients(make_loss(name)(raw, make_batch(rng, [0]))["conf_neg"], raw)["confidence_logits"]
    assert (wholly > 0.1).all()
    torch.testing.assert_close(grad, wholly if punished else torch.zeros_like(wholly), rtol=1e-6, atol=1e-6)


# -- limits ---------------------------------------------------------------------------------------------------


GEOMETRIES = {name: (name, SPEC) for name in OF_SQUEEZEDET} | {
    "squeezedet2017, plain exp": ("squeezedet2017", SPEC_2017)
}


@pytest.mark.parametrize(("name", "spec"), GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4], ids=["all zero", "usual", "extreme logits"])
@pytest.mark.parametrize("counts", [[0], [0, 0], [0, 3], [40, 0]], ids=["none", "two without", "one without", "crowd"])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0], ids=["unlabelled", "partial", "labelled"])
def test_loss_and_gradients_are_finite_in_float32(
    name: str, spec: ModelSpec, size: float, counts: list[int], share: float
):
    """Also with more objects than anchors."""
    rng = np.random.default_rng(11)
    labelled = rng.random((len(counts), spec.num_classes)) < share
    batch = to_dtype(make_batch(rng, counts, labelled, spec), torch.float32)
    raw = make_raw(rng, len(counts), size, spec)
    raw = RawOutput(*(value.detach().float().requires_grad_() for value in vars(raw).values()))
    parts = make_loss(name, spec).float()(raw, batch)
    assert all(0 <= value < torch.inf for value in parts.values()), parts
    total = sum(parts.values())
    assert all(torch.isfinite(grad).all() for grad in gradients(total, raw).values())


@each_loss
def test_a_photo_without_objects_teaches_that_there_is_nothing(name: str):
    rng = np.random.default_rng(13)
    batch, raw = make_batch(rng, [0]), make_raw(rng, 1)
    grads = gradients(sum(make_loss(name)(raw, batch).values()), raw)
    assert (grads["confidence_logits"] > 0).all()
    assert not grads["deltas"].any()
    assert not grads["class_logits"].any()
