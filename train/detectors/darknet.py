"""A Darknet detector through cv2.dnn (OpenCV 4.x only), as a teacher or a rival."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sqdet_cv.boxes.ops import cxcywh_to_xyxy
from sqdet_cv.boxes.postprocess import finish, select_decoded
from sqdet_cv.detections import Detections
from sqdet_cv.spec.detector_spec import ModelSpec
from sqdet_cv.util.opencv_errors import error_text

from ..common.errors import TrainError

NMS_THRESHOLD = 0.45  # Darknet's own
LEAST_SCORE = 0.001


class DarknetDetector:
    """YOLO cfg + weights, called as `Detector` is: image in, `Detections` out.

    The input is RGB scaled to 0-1 and stretched; an output row is cx, cy, w, h (shares of the image), objectness,
    and class scores that OpenCV's Region layer has already multiplied by it.

    Args:
        cfg: NAME.cfg, with NAME.weights beside it. Its own `thresh` does not count: `score_threshold` alone says which
            detections are returned.
        labels: class names in the order of the model's classes.
        score_threshold: least score of a detection, 0 to 1.
        nms_threshold: IoU above which the weaker of two boxes of a class is suppressed.

    Raises:
        TrainError: a file is missing or no Darknet model, or this OpenCV has no importer for it.
    """

    def __init__(
        self, cfg: str | Path, labels: Sequence[str], score_threshold: float = 0.3, nms_threshold: float = NMS_THRESHOLD
    ) -> None:
        cfg, weights = Path(cfg), Path(cfg).with_suffix(".weights")
        for path in (cfg, weights):
            if not path.is_file():
                raise TrainError(f"{path}: no such file; a Darknet model is NAME.cfg with NAME.weights beside it")
        if not hasattr(cv2.dnn, "readNetFromDarknet"):
            raise TrainError(f"{cfg}: OpenCV {cv2.__version__} has no Darknet importer; use OpenCV 4.x for this model")
        try:
            self.net = cv2.dnn.readNetFromDarknet(
                np.frombuffer(with_low_threshold(cfg.read_text()).encode(), np.uint8),
                np.frombuffer(weights.read_bytes(), np.uint8),
            )
        except cv2.error as error:
            raise TrainError(f"{cfg}: OpenCV cannot read this Darknet model: {error_text(error)}") from None
        self.outputs = self.net.getUnconnectedOutLayersNames()
        self.score_threshold, self.nms_threshold = score_threshold, nms_threshold
        size_wh = _input_size(cfg)
        # Only the image's way in and the labels are used; the one anchor stands for nothing.
        self.spec = ModelSpec.single(
            tuple(labels), size_wh, (1, 1), ((1, 1),), mean_bgr=(0, 0, 0), scale=1 / 255, rgb=True
        )

    def __call__(self, image_bgr: np.ndarray) -> Detections:
        width, height = self.spec.input_wh
        blob = cv2.dnn.blobFromImage(image_bgr, 1 / 255, (width, height), swapRB=True)
        self.net.setInput(blob)
        rows = np.concatenate([output.reshape(-1, output.shape[-1]) for output in self.net.forward(self.outputs)])
        if rows.shape[1] != 5 + self.spec.num_classes:
            raise TrainError(f"the Darknet model has {rows.shape[1] - 5} classes, expected {self.spec.num_classes}")
        boxes = cxcywh_to_xyxy(rows[:, :4]) * np.float32([width, height, width, height])
        candidates = select_decoded(boxes, rows[:, 5:], self.score_threshold)
        return finish(*candidates, self.spec, image_bgr.shape[1::-1], self.nms_threshold)


def with_low_threshold(cfg: str) -> str:
    """The text of a cfg in which every output layer says `thresh`.

    OpenCV's YOLO layer sets every score below `thresh` to 0, and below 0.2 where the cfg does not say it, as the
    authors' files do not. AP is measured on all scores, so that costs a model some 4 points.

    >>> with_low_threshold("[net]\\nwidth=64\\n[yolo]\\nthresh = .5\\nclasses=2\\n")
    '[net]\\nwidth=64\\n[yolo]\\nthresh=0.001\\nclasses=2\\n'
    """
    sections = re.split(r"(?m)^(?=\s*\[)", cfg)
    for i, section in enumerate(sections):
        head, _, body = section.partition("\n")
        if head.strip() in ("[yolo]", "[region]"):
            kept = re.sub(r"(?m)^\s*thresh\s*=.*\n?", "", body)
            sections[i] = f"{head}\nthresh={LEAST_SCORE}\n{kept}"
    return "".join(sections)


def _input_size(cfg: Path) -> tuple[int, int]:
    values: dict[str, str] = {}
    net_section = cfg.read_text().partition("[")[2].partition("\n[")[0]  # it is the first
    for line in net_section.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key.strip()] = value.strip()
    try:
        return int(values["width"]), int(values["height"])
    except (KeyError, ValueError):
        raise TrainError(f"{cfg}: no width and height in its [net] section") from None
