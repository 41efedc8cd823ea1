"""Batches and network answers for the tests of the losses: small, in float64, without images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import make_spec, random_boxes
from train.data.batch import Batch, collate, make_row
from train.data.transforms.geometry import LabeledImage
from train.losses import LOSSES, Loss
from train.models.raw_output import RawOutput

# a cap that a usual delta reaches
SPEC = make_spec(grid_hw=(2, 3), anchors_wh=((20, 20), (50, 36)), size_delta_cap=0.8)
# as the Caffe layer: square, rows along x, plain exp; all centres are exact in float32
SPEC_2017 = make_spec(
    input_wh=(64, 64),
    grid_hw=(3, 3),
    anchors_wh=((20, 28), (40, 16)),
    grid_transposed=True,
    delta_order="xyhw",
    size_delta_cap=float("inf"),
)


def make_batch(
    rng: np.random.Generator,
    counts: list[int],
    labelled: np.ndarray | None = None,
    spec: ModelSpec = SPEC,
    ignored: float = 0.2,
) -> Batch:
    """An image per entry of `counts`, with that many objects, a share `ignored` of them to be ignored."""
    labelled = np.ones((len(counts), spec.num_classes), bool) if labelled is None else labelled
    rows = []
    for photo, count in enumerate(counts):
        view = LabeledImage(
            np.zeros((1, 1, 3), np.uint8),
            random_boxes(rng, count, spec.input_wh, smallest=8),
            rng.integers(0, spec.num_classes, count),
            rng.random(count) < ignored,
            rng.uniform(0.3, 1, count).astype(np.float32),
            rng.dirichlet(np.ones(spec.num_classes), count).astype(np.float32),
        )
        rows.append(make_row(view, labelled[photo], spec))
    return to_dtype(collate(rows, spec), torch.float64)


def to_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    return replace(batch, **{k: v.to(dtype) for k, v in vars(batch).items() if v is not None and v.is_floating_point()})


def make_raw(rng: np.random.Generator, photos: int, size: float = 1.0, spec: ModelSpec = SPEC) -> RawOutput:
    a, c = spec.num_anchors, spec.num_classes
    shapes = ((photos, a, 4), (photos, a, c), (photos, a))
    return RawOutput(*(torch.from_numpy(rng.normal(0, size, shape)).requires_grad_() for shape in shapes))


def make_loss(name: str, spec: ModelSpec = SPEC, **changes: object) -> Loss:
    loss_class, config_class, _ = LOSSES[name]
    return loss_class(config_class(**changes), spec).double()


def gradients(total: torch.Tensor, raw: RawOutput) -> dict[str, torch.Tensor]:
    """Of `total`, by field of `raw`; zeros where it does not depend on it."""
    found = torch.autograd.grad(total, list(vars(raw).values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if grad is None else grad
        for (name, value), grad in zip(vars(raw).items(), found, strict=True)
    }


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    return powers / powers.sum()
