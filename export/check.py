"""Runs what was written: the file in cv2.dnn against the net in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from sqdet_cv.boxes.ops import clip_boxes, decode
from sqdet_cv.detector import HEADS
from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.dnn.preprocess import classifier_blob, images_to_blob
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from sqdet_cv.spec.detector_spec import ModelSpec
from train.models.raw_output import RawOutput

from .errors import ExportError


class GridNet(Protocol):
    """What a file is held to: a detector in PyTorch, or what computes its grids, of which it gives one or a tuple, in
    another way."""

    def __call__(self, x: Tensor) -> Any: ...

    def split(self, output: Any) -> RawOutput: ...


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that passes, over all anchors and classes."""

    scores: float  # of confidence x class score
    boxes: float  # of corners clipped to the input, in input pixels
    advice: str = ""  # what to do about a larger one


EXACT = Tolerance(scores=1e-4, boxes=0.05)
HALF = Tolerance(
    scores=1e-3, boxes=0.5, advice="; without --half the weights stay float32"
)  # weights rounded to float16: an effect of the weights, not of the file


def sample_pictures(count: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Images with structure at many scales, so that a check needs no image: sums of enlarged noise."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        layers = [rng.normal(0, 1, (cells, cells, 3)).astype(np.float32) for cells in (4, 16, 64, 320)]
        total = sum(cv2.resize(layer, (400, 300), interpolation=cv2.INTER_CUBIC) for layer in layers)
        pictures.append(np.clip(128 + 40 * total, 0, 255).astype(np.uint8))
    return pictures


def check_detector(
    name: str, onnx: bytes, net: GridNet, spec: ModelSpec, head: str, crop: int, tolerance: Tolerance = EXACT
) -> tuple[float, float]:
    """An ONNX file: the largest difference in scores and in boxes (input pixels) over all anchors of a few images.

    Args:
        name: where it will be written, for the errors.
        onnx: the bytes of the file.

    Raises:
        ExportError: a difference is above the tolerance, or OpenCV's output has other shapes.
    """
    opencv_net = read_onnx(onnx, name)

    def run(blob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        opencv_net.setInput(blob)
        outputs = dict(zip(HEADS[head], opencv_net.forward(list(HEADS[head]))))
        if head == "decoded":
            return outputs["boxes_xyxy"], outputs["scores"]
        return decode(outputs["deltas"], spec), outputs["class_scores"] * outputs["confidence"][..., None]

    return compare(name, run, net, spec, crop, tolerance)


def compare(
    name: str,
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    net: GridNet,
    spec: ModelSpec,
    crop: int,
    tolerance: Tolerance,
) -> tuple[float, float]:
    """As `check_detector`, for any file: `run` turns a (1, 3, height, width) blob into boxes_xyxy (1, A, 4) in input
    pixels and scores (1, A, C), in the anchor order of `spec`."""
    blob = images_to_blob(sample_pictures(), spec)
    with torch.no_grad():
        grid = net(torch.from_numpy(blob))
        if crop:
            grid = grid[:, :, crop : grid.shape[2] - crop, crop : grid.shape[3] - crop]
        raw = net.split(grid)
    true_boxes = decode(raw.deltas.numpy(), spec)
    true_scores = (raw.class_logits.softmax(dim=2) * raw.confidence_logits.sigmoid()[..., None]).numpy()

    score_error = box_error = 0.0
    for i, image in enumerate(blob):
        boxes, scores = run(image[None])
        if boxes.shape != true_boxes[i][None].shape or scores.shape != true_scores[i][None].shape:
            raise ExportError(f"{name}: OpenCV gives boxes {boxes.shape} and scores {scores.shape}")
        box_error = max(
            box_error, _distance(clip_boxes(boxes[0], spec.input_wh), clip_boxes(true_boxes[i], spec.input_wh))
        )
        score_error = max(score_error, _distance(scores[0], true_scores[i]))
    if score_error > tolerance.scores or box_error > tolerance.boxes:
        raise ExportError(
            f"{name}: OpenCV {cv2.__version__} differs from PyTorch by {score_error:.2g} in scores (allowed "
            f"{tolerance.scores:g}) and {box_error:.2g} px in boxes (allowed {tolerance.boxes:g}); nothing was "
            f"written{tolerance.advice}"
        )
    return score_error, box_error


def check_classifier(
    name: str,
    run: Callable[[np.ndarray], np.ndarray],
    net: nn.Module,
    spec: ClassifierSpec,
    tolerance: float = EXACT.scores,
) -> float:
    """The largest difference in a class's probability in a few images, any file against the net that gives logits.

    Args:
        name: of the file, for the errors.
        run: turns a (1, 3, height, width) blob into the file's probabilities, C numbers in any shape.

    Raises:
        ExportError: a difference is above the tolerance, or `run` gives another number of classes.
    """
    error = 0.0
    for picture in sample_pictures():
        blob = classifier_blob(picture, spec)
        with torch.no_grad():
            truth = net(torch.from_numpy(blob)).softmax(dim=1).numpy()
        probabilities = run(blob)
        if probabilities.size != truth.size:
            raise ExportError(f"{name}: OpenCV gives probabilities {probabilities.shape} for {truth.size} classes")
        error = max(error, _distance(probabilities.reshape(truth.shape), truth))
    if error > tolerance:
        raise ExportError(
            f"{name}: OpenCV {cv2.__version__} differs from PyTorch by {error:.2g} in probabilities (allowed "
            f"{tolerance:g}); nothing was written"
        )
    return error


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; infinite where there is a NaN, which every comparison would let pass."""
    return float(np.nan_to_num(np.abs(a - b), nan=np.inf).max())
