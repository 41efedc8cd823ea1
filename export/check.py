"""Runs what was written: the file in cv2.dnn against the net in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from sqdet_cv.boxes import clip_boxes, decode_deltas
from sqdet_cv.detector import HEADS
from sqdet_cv.model_file import read_onnx
from sqdet_cv.preprocess import images_to_blob
from sqdet_cv.spec import ModelSpec
from train.models.squeezedet import SqueezeDet

from .errors import ExportError


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that passes, over all anchors and classes."""

    scores: float  # of confidence x class score
    boxes: float  # of corners clipped to the input, in input pixels


EXACT = Tolerance(scores=1e-4, boxes=0.05)
HALF = Tolerance(scores=1e-3, boxes=0.5)  # weights rounded to float16: an effect of the weights, not of the file


def sample_pictures(count: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Pictures with structure at many scales, so that a check needs no photo: sums of enlarged noise."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        layers = [rng.normal(0, 1, (cells, cells, 3)).astype(np.float32) for cells in (4, 16, 64, 320)]
        total = sum(cv2.resize(layer, (400, 300), interpolation=cv2.INTER_CUBIC) for layer in layers)
        pictures.append(np.clip(128 + 40 * total, 0, 255).astype(np.uint8))
    return pictures


def check_detector(
    path: Path, net: SqueezeDet, spec: ModelSpec, head: str, crop: int, tolerance: Tolerance = EXACT
) -> tuple[float, float]:
    """The largest difference in scores and in boxes (input pixels) over all anchors of a few pictures.

    Raises:
        ExportError: a difference is above the tolerance, or OpenCV's output has other shapes.
    """
    blob = images_to_blob(sample_pictures(), spec)
    with torch.no_grad():
        grid = net(torch.from_numpy(blob))
        raw = net.split(grid[:, :, crop : grid.shape[2] - crop, crop : grid.shape[3] - crop])
    true_boxes = decode_deltas(raw.deltas.numpy(), spec)
    true_scores = (raw.class_logits.softmax(dim=2) * raw.confidence_logits.sigmoid()[..., None]).numpy()

    opencv_net = read_onnx(path.read_bytes(), str(path))
    score_error = box_error = 0.0
    for i, image in enumerate(blob):
        opencv_net.setInput(image[None])
        outputs = dict(zip(HEADS[head], opencv_net.forward(list(HEADS[head]))))
        if head == "convdet":
            boxes = decode_deltas(outputs["deltas"], spec)
            scores = outputs["class_scores"] * outputs["confidence"][..., None]
        else:
            boxes, scores = outputs["boxes_xyxy"], outputs["scores"]
        if boxes.shape != true_boxes[i][None].shape or scores.shape != true_scores[i][None].shape:
            raise ExportError(f"{path}: OpenCV gives boxes {boxes.shape} and scores {scores.shape}")
        box_error = max(
            box_error, _distance(clip_boxes(boxes[0], spec.input_wh), clip_boxes(true_boxes[i], spec.input_wh))
        )
        score_error = max(score_error, _distance(scores[0], true_scores[i]))
    # written so that NaN fails too
    if not (score_error <= tolerance.scores and box_error <= tolerance.boxes):
        raise ExportError(
            f"{path}: OpenCV {cv2.__version__} differs from PyTorch by {score_error:.2g} in scores (allowed "
            f"{tolerance.scores:g}) and {box_error:.2g} px in boxes (allowed {tolerance.boxes:g}); nothing was written"
        )
    return score_error, box_error


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())
