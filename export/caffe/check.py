"""Runs a written Caffe pair in cv2.dnn against the net in PyTorch."""

from __future__ import annotations

import cv2
import numpy as np

from sqdet_cv.boxes.ops import clip_boxes, decode
from sqdet_cv.dnn.caffe import forward_detector
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import ModelSpec
from train.models import AnyNet

from ..check import Tolerance, compare, sample_pictures
from ..errors import ExportError


def check_caffe(
    opencv_net: cv2.dnn.Net,
    name: str,
    net: AnyNet,
    spec: ModelSpec,
    written_spec: ModelSpec,
    crop: int,
    tolerance: Tolerance,
) -> tuple[float, float]:
    """As `check.check_detector`, for the three last layers of the 2017 net.

    Args:
        spec: the geometry of `net`; written_spec: that of the file, another one after `--infer-bbox`.
    """

    def run(blob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        deltas, class_scores, confidence = forward_detector(opencv_net, blob)
        boxes, scores = decode(deltas, written_spec), class_scores * confidence[..., None]
        if len(spec.grids) > 1:
            if scores[:, spec.num_anchors :].any():
                raise ExportError(f"{name}: a row that no anchor of the model has scores above 0; nothing was written")
            boxes, scores = (array[:, : spec.num_anchors] for array in (boxes, scores))
        elif written_spec.grid.transposed != spec.grid.transposed:
            rows, columns = spec.grid.hw
            by_column = [array.reshape(columns, rows, spec.grid.anchors_per_cell, -1) for array in (boxes, scores)]
            boxes, scores = (array.transpose(1, 0, 2, 3).reshape(1, spec.num_anchors, -1) for array in by_column)
        return boxes, scores

    return compare(name, run, net, spec, crop, tolerance)


def check_detection_output(opencv_net: cv2.dnn.Net, name: str, spec: ModelSpec, tolerance: Tolerance) -> None:
    """Every row that DetectionOutput gives must be an anchor's box and score as our own code computes them.

    The tensors that go into it are checked by `check_caffe`. Which boxes are suppressed is not compared: with scores
    that are all but equal, as an untrained net gives, that is a matter of the last bit.

    Raises:
        ExportError: a row is none of them.
    """
    for image in images_to_blob(sample_pictures(), spec):
        opencv_net.setInput(image[None])
        (rows,), (scores,), parts = opencv_net.forwardAndRetrieve(["detection_out", "scores", "slice"])
        boxes = clip_boxes(decode(parts[2].reshape(-1, 4), spec), spec.input_wh)
        to_input = np.tile(np.float32(spec.input_wh), 2)
        for _, class_id, score, *corners in rows.reshape(-1, 7):
            if score == 0:  # an unused row
                continue
            score_errors = np.abs(scores[0, :, int(class_id)] - score)
            box_errors = np.abs(boxes - corners * to_input).max(axis=1)
            if not ((score_errors <= tolerance.scores) & (box_errors <= tolerance.boxes)).any():
                raise ExportError(
                    f"{name}: OpenCV {cv2.__version__} detects class {int(class_id)} with score {score:.4f} at "
                    f"{np.round(corners * to_input, 2)}, where no anchor is; nothing was written"
                )
