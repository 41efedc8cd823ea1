from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from train.common.errors import TrainError
from train.detectors.darknet import DarknetDetector

from .tiny_darknet import make_darknet, needs_importer


@needs_importer
def test_a_darknet_model_detects_what_it_was_made_for(tmp_path: Path):
    detector = DarknetDetector(make_darknet(tmp_path), ("one", "two"))
    image = np.zeros((192, 192, 3), np.uint8)  # each cell is 96 x 64 of it
    image[:64, 96:] = (0, 0, 255)
    image[128:, :96] = (255, 0, 255)
    found = detector(image)
    assert [d.label for d in sorted(found, key=lambda d: d.class_id)] == ["one", "two"]
    boxes = found.boxes_xyxy[np.argsort(found.class_ids)]
    # cell centres, and 16 x 24 of 64 x 96 input pixels stretched to the image: 48 x 48
    np.testing.assert_allclose(boxes, [[120, 8, 168, 56], [24, 136, 72, 184]], atol=0.01)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-6)) / (1 + np.exp(-4)), atol=1e-4)


@needs_importer
@pytest.mark.parametrize("thresh", ["", "thresh=.5", "  thresh = 0.9  # high"], ids=["not said", "said", "with blanks"])
def test_scores_below_opencvs_own_threshold_are_kept(tmp_path: Path, thresh: str):
    """OpenCV would set scores below 0.2, or what the cfg says, to 0."""
    cfg = make_darknet(tmp_path)
    cfg.write_text(cfg.read_text().replace("[yolo]", f"[yolo]\n{thresh}"))
    image = np.zeros((192, 192, 3), np.uint8)
    image[:64, 96:] = (0, 0, 90)  # so red that the net is 15 % sure of an object
    found = DarknetDetector(cfg, ("one", "two"), score_threshold=0.05)(image)
    confidence = 1 / (1 + np.exp(6 - 12 * 90 / 255))
    assert found.labels == ("one",)
    np.testing.assert_allclose(found.scores, confidence / (1 + np.exp(-4)), atol=1e-4)
    assert 0.1 < found.scores[0] < 0.2


@needs_importer
def test_a_wrong_number_of_labels_is_said(tmp_path: Path):
    detector = DarknetDetector(make_darknet(tmp_path), ("one", "two", "three"))
    with pytest.raises(TrainError, match="has 2 classes, expected 3"):
        detector(np.zeros((64, 64, 3), np.uint8))


def _replace(old: str, new: str):
    return lambda cfg: cfg.write_text(cfg.read_text().replace(old, new))


BAD = {
    "no weights": (
        lambda cfg: cfg.with_suffix(".weights").unlink(),
        r"tiny\.weights: no such file; a Darknet model is",
    ),
    "no cfg": (lambda cfg: cfg.unlink(), r"tiny\.cfg: no such file; a Darknet model is"),
}
BAD_CFG = {
    "unknown layer": (_replace("[yolo]", "[oracle]"), r"tiny\.cfg: OpenCV cannot read this Darknet model"),
    "no size": (_replace("width=64", ""), r"tiny\.cfg: "),
    "size not a number": (_replace("height = 96", "height = tall"), r"tiny\.cfg: "),
}


@pytest.mark.parametrize(
    ("damage", "message"),
    [pytest.param(*case, id=name) for name, case in BAD.items()]
    + [pytest.param(*case, id=name, marks=needs_importer) for name, case in BAD_CFG.items()],
)
def test_a_bad_model_is_named(tmp_path: Path, damage, message: str):
    cfg = make_darknet(tmp_path)
    damage(cfg)
    with pytest.raises(TrainError, match=message):
        DarknetDetector(cfg, ("one", "two"))


def test_opencv_5_says_what_to_do(tmp_path: Path, monkeypatch):
    monkeypatch.delattr(cv2.dnn, "readNetFromDarknet", raising=False)
    with pytest.raises(TrainError, match="has no Darknet importer; use OpenCV 4.x"):
        DarknetDetector(make_darknet(tmp_path), ("one", "two"))
