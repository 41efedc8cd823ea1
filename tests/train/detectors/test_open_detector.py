from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.boxes.ops import decode
from sqdet_cv.errors import ModelFileError
from tests.helpers import make_spec, slow_iou
from train.checkpoints.native import save_checkpoint
from train.common.errors import TrainError
from train.detectors.open_detector import open_detector, open_together
from train.detectors.pytorch import TorchDetector
from train.models import NetConfig, SqueezeDet

SPEC = make_spec(input_wh=(96, 64), grid_hw=(3, 5))
CONFIG = NetConfig(head_fires=((8, 8, 8),), convdet_kernel=1, convdet_padding=0, dropout=0.5)


@pytest.fixture
def net() -> SqueezeDet:
    """Random weights that say something: confidences and class scores of all sizes."""
    torch.manual_seed(1)
    net = SqueezeDet(CONFIG, SPEC.grid.anchors_per_cell, SPEC.num_classes)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    torch.nn.init.zeros_(net.convdet.bias)
    net.convdet.weight.data /= 50
    return net


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


def test_a_torch_detector_is_the_whole_walk(net: SqueezeDet, image: np.ndarray):
    """Image to detections, written out from the paper's description."""
    found = TorchDetector(net, SPEC, score_threshold=0.1, nms_threshold=0.2)(image)

    blob = torch.from_numpy((image.astype(np.float32) - SPEC.mean_bgr).transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        raw = net.eval().split(net(blob))
    scores = (raw.class_logits.softmax(2) * raw.confidence_logits.sigmoid()[..., None])[0].numpy()
    boxes = np.clip(decode(raw.deltas[0].numpy(), SPEC), 0, [96, 64, 96, 64])
    candidates = sorted(((s, i, c) for (i, c), s in np.ndenumerate(scores) if s > 0.1), reverse=True)
    kept = []
    for candidate in candidates:
        _, i, c = candidate
        if (boxes[i][2:] > boxes[i][:2]).all() and all(
            c != k[2] or slow_iou(boxes[i], boxes[k[1]]) <= 0.2 for k in kept
        ):
            kept.append(candidate)
    assert 3 < len(kept) < len(candidates)
    np.testing.assert_allclose(found.scores, [s for s, _, _ in kept], rtol=1e-4)
    assert found.labels == tuple(SPEC.labels[c] for _, _, c in kept)
    expected = [boxes[i] for _, i, _ in kept]
    np.testing.assert_allclose(found.boxes_xyxy, expected, rtol=1e-3, atol=1e-2)


def test_a_checkpoint_opens_with_its_averaged_weights(tmp_path: Path, net: SqueezeDet, image: np.ndarray):
    averaged = {name: value.clone() for name, value in net.state_dict().items()}
    direct = TorchDetector(net, SPEC, 0.1)(image)
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    save_checkpoint(tmp_path / "a.pt", net, SPEC, averaged, {})
    opened = open_detector(tmp_path / "a.pt", SPEC.labels, 0.1)(image)
    np.testing.assert_array_equal(opened.boxes_xyxy, direct.boxes_xyxy)
    assert opened.labels == direct.labels


def test_other_labels_are_refused(tmp_path: Path, net: SqueezeDet):
    save_checkpoint(tmp_path / "a.pt", net, SPEC, net.state_dict(), {})
    with pytest.raises(TrainError, match=r"a\.pt: its labels are bird, cat, dog, sheep, cow; expected cow, bird"):
        open_detector(tmp_path / "a.pt", ("cow", "bird"), 0.1)


def test_several_paths_are_one_detector(tmp_path: Path, net: SqueezeDet, image: np.ndarray):
    """The same net twice finds what it finds once; one path alone is that detector itself."""
    save_checkpoint(tmp_path / "a.pt", net, SPEC, net.state_dict(), {})
    path = str(tmp_path / "a.pt")
    alone = open_together(path, SPEC.labels, 0.1)
    assert isinstance(alone, TorchDetector)
    once, twice = alone(image), open_together(f"{path},{path}", SPEC.labels, 0.1)(image)
    assert len(once) > 3
    np.testing.assert_allclose(twice.scores, once.scores, rtol=1e-5)
    np.testing.assert_allclose(twice.boxes_xyxy, once.boxes_xyxy, rtol=1e-4, atol=1e-3)
    mirrored = open_together(path, SPEC.labels, 0.1, mirror=True)(image)
    assert not np.array_equal(mirrored.scores, once.scores)
    with pytest.raises(TrainError, match=r"b\.pt: no such checkpoint"):
        open_together(f"{path},{tmp_path / 'b.pt'}", SPEC.labels, 0.1)


MISSING = {
    "checkpoint": ("x.pt", "no such checkpoint"),
    "Darknet": ("x.cfg", "no such file"),
    "unknown kind": ("x.tflite", "a detector is a .pt checkpoint"),
}


@pytest.mark.parametrize("name", ["x.onnx", "x.caffemodel", "x.sqdet"])
def test_the_runtimes_files_are_left_to_the_runtime(tmp_path: Path, name: str):
    with pytest.raises(ModelFileError, match=name):
        open_detector(tmp_path / name, SPEC.labels, 0.1)


@pytest.mark.parametrize(("name", "message"), MISSING.values(), ids=MISSING)
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str, message: str):
    with pytest.raises(TrainError, match=f"{name}: {message}"):
        open_detector(tmp_path / name, SPEC.labels, 0.1)
