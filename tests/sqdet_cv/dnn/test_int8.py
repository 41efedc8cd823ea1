"""An int8 model in this OpenCV, whatever its version makes of one: it must give what exact integers give."""

import json

import numpy as np

from sqdet_cv import Detector
from sqdet_cv.dnn.preprocess import images_to_blob
from tests.int8_model import ANSWER, MODEL, picture
from tests.same_detections import as_rows, assert_same_detections


def test_same_numbers_as_exact_integer_arithmetic():
    detector = Detector(MODEL)
    boxes_xyxy, scores = detector.forward(images_to_blob([picture()], detector.spec))
    answer = {name: np.array(values) for name, values in json.loads(ANSWER.read_text()).items()}
    assert np.ptp(answer["scores"]) > 0.5  # a lively net
    np.testing.assert_allclose(scores[0], answer["scores"], atol=1e-3)
    np.testing.assert_allclose(boxes_xyxy[0], answer["boxes_xyxy"], atol=0.05)


def test_detects_and_takes_batches():
    detector = Detector(MODEL, score_threshold=0.3)
    alone = detector(picture())
    assert len(alone) > 3
    for found in detector.detect_batch([picture(), picture()[:, ::-1].copy(), picture()])[::2]:
        assert_same_detections(as_rows(found), as_rows(alone), score_margin=1e-3, box_margin=0.05, score_threshold=0.3)
