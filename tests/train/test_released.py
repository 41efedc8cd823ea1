"""The stored detections are what PyTorch finds with the released weights."""

import json

import cv2
import pytest

from tests.released import DETECTIONS, PHOTOS, SCORE_THRESHOLD, released_net
from train.detectors import TorchDetector


def test_stored_detections_are_pytorchs():
    detector = TorchDetector(*released_net(), score_threshold=SCORE_THRESHOLD)
    stored = json.loads(DETECTIONS.read_text())
    for path in PHOTOS:
        found = detector(cv2.imread(str(path)))
        assert list(found.labels) == [row["label"] for row in stored[path.name]], path.name
        for mine, row in zip(found, stored[path.name]):
            assert mine.score == pytest.approx(row["score"], abs=1e-4)
            assert mine.box_xyxy == pytest.approx(row["box_xyxy"], abs=0.05)
