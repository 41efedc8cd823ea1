"""How long the steps of one detection take: image to network input, forward pass, tensors to detections."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sqdet_cv import Detector
from sqdet_cv.boxes.postprocess import finish
from sqdet_cv.dnn.preprocess import images_to_blob
from train.detectors.darknet import DarknetDetector

PICTURES = sorted((Path(__file__).parents[2] / "samples" / "pictures").glob("*.jpg"))


class Steps(NamedTuple):
    """Milliseconds."""

    pre: float
    forward: float
    post: float

    @property
    def total(self) -> float:
        return sum(self)


class Stopwatch:
    """Called with an image it detects there as the detector itself does, and gives the times.

    >>> Stopwatch(Detector())(image_bgr).forward  # doctest: +SKIP
    """

    def __init__(self, detector: Detector | DarknetDetector) -> None:
        self.detector = detector
        if isinstance(detector, DarknetDetector):
            detector.net = _ClockedNet(detector.net)

    def __call__(self, image_bgr: np.ndarray) -> Steps:
        if isinstance(self.detector, DarknetDetector):
            return _time_darknet(self.detector, image_bgr)
        return _time_detector(self.detector, image_bgr)


def _time_detector(detector: Detector, image_bgr: np.ndarray) -> Steps:
    t0 = time.perf_counter()
    blob = images_to_blob([image_bgr], detector.spec)
    t1 = time.perf_counter()
    outputs = detector.forward(blob)
    t2 = time.perf_counter()
    candidates = detector.candidates([output[0] for output in outputs], detector.score_threshold)
    finish(*candidates, detector.spec, image_bgr.shape[1::-1], detector.nms_threshold)
    return _steps(t0, t1, t2, time.perf_counter())


def _time_darknet(detector: DarknetDetector, image_bgr: np.ndarray) -> Steps:
    start = time.perf_counter()
    detector(image_bgr)
    return _steps(start, detector.net.begun, detector.net.ended, time.perf_counter())


def _steps(*seconds: float) -> Steps:
    return Steps(*(1000 * (later - earlier) for earlier, later in zip(seconds, seconds[1:])))


class _ClockedNet:
    """Stands in for a cv2.dnn.Net and notes when it was given its input and when its outputs were there."""

    def __init__(self, net: cv2.dnn.Net) -> None:
        self._net = net
        self.begun = self.ended = 0.0

    def setInput(self, blob: np.ndarray) -> None:
        self.begun = time.perf_counter()
        self._net.setInput(blob)

    def forward(self, outputs: list[str]) -> list[np.ndarray]:
        tensors = self._net.forward(outputs)
        self.ended = time.perf_counter()
        return tensors
