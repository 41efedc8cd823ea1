"""A model on four grids in this OpenCV, whatever its version: it must give what PyTorch gave."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sqdet_cv import Detector
from sqdet_cv.boxes.ops import decode
from sqdet_cv.dnn.caffe import has_caffe_importer
from sqdet_cv.dnn.preprocess import images_to_blob
from tests.grids_model import ANSWER, CAFFE, CONVDET, DECODED
from tests.int8_model import picture

needs_caffe = pytest.mark.skipif(not has_caffe_importer(), reason="OpenCV 5 has no Caffe importer")
MODELS = [CONVDET, DECODED, pytest.param(CAFFE, marks=needs_caffe)]


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_same_numbers_as_pytorch(model: Path):
    detector = Detector(model)
    outputs = detector.forward(images_to_blob([picture()], detector.spec))
    boxes_xyxy, scores = outputs[0], outputs[1]
    if len(outputs) == 3:
        boxes_xyxy, scores = decode(outputs[0], detector.spec), outputs[1] * outputs[2][..., None]
    answer = {name: np.array(values) for name, values in json.loads(ANSWER.read_text()).items()}
    assert np.ptp(answer["scores"]) > 0.5  # a lively net
    np.testing.assert_allclose(scores[0], answer["scores"], atol=1e-4)
    np.testing.assert_allclose(boxes_xyxy[0], answer["boxes_xyxy"], rtol=1e-4, atol=0.01)


def test_detects_and_takes_batches():
    detector = Detector(CONVDET, score_threshold=0.2)
    alone = detector(picture())
    assert len(alone) > 3
    for found in detector.detect_batch([picture(), picture()[:, ::-1].copy(), picture()])[::2]:
        np.testing.assert_allclose(found.boxes_xyxy, alone.boxes_xyxy, atol=0.01)
        assert found.labels == alone.labels
