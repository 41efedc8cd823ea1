"""ONNX files run by cv2.dnn against PyTorch and against the NumPy codec."""

import dataclasses
import math

import cv2
import numpy as np
import onnx
import pytest
import torch

from export.__main__ import main
from export.check import EXACT, HALF, check_detector, sample_pictures
from export.errors import ExportError
from export.graph.trace import trace
from export.onnx.model import HEADS, INPUT, detector_model
from sqdet_cv import Detector, ModelSpec
from sqdet_cv.boxes.ops import decode
from sqdet_cv.dnn.model_file import read_onnx
from sqdet_cv.dnn.preprocess import images_to_blob
from tests.released import MODEL
from tests.same_detections import as_rows, assert_same_detections
from train.checkpoints.initialize import initialise
from train.checkpoints.native import save_checkpoint
from train.detectors.pytorch import TorchDetector
from train.models import NETS, AnyNet, build_net

from ..graph.test_trace import randomise_norms

LABELS = ("cat", "dog", "person")
ANCHORS = ((12.0, 20.0), (40.0, 30.0))


def make_net(
    name: str = "sqdet", size_wh: tuple[int, int] = (96, 64), labels: tuple[str, ...] = LABELS
) -> tuple[AnyNet, ModelSpec]:
    """A net with lively outputs: a fresh one says 1 % confidence and delta 0 everywhere, which hides errors."""
    torch.manual_seed(1)
    net = build_net(name, len(ANCHORS), len(labels)).eval()
    randomise_norms(net)
    for last in (module for path, module in net.named_modules() if path.endswith("convdet")):
        # the sums of the untrained pyramid are large
        torch.nn.init.normal_(last.weight, std=2e-5 if name == "squeezedet-fpn" else 0.05)
        torch.nn.init.normal_(last.bias, std=0.5)
    return net, ModelSpec(labels, size_wh, net.make_grids(size_wh, ANCHORS))


def write(tmp_path, net, spec, head, **options):
    path = tmp_path / f"{head}.onnx"
    onnx.save(detector_model(trace(net, INPUT), spec, head, **options), path)
    spec.save(path.with_suffix(".json"))
    return path


def truth(net, spec, blob):
    """boxes (N, A, 4) and scores (N, A, C) by PyTorch and the NumPy codec."""
    with torch.no_grad():
        raw = net.split(net(torch.from_numpy(blob)))
    scores = raw.class_logits.softmax(dim=2) * raw.confidence_logits.sigmoid()[..., None]
    return decode(raw.deltas.numpy(), spec), scores.numpy()


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("head", HEADS)
def test_opencv_agrees_with_pytorch(tmp_path, name, head):
    net, spec = make_net(name)
    path = write(tmp_path, net, spec, head)
    score_error, box_error = check_detector(str(path), path.read_bytes(), net, spec, head, 0)
    assert score_error < 1e-5 and box_error < 0.01


VARIANTS = {
    "plain": {},
    "2017 delta order": {"delta_order": "xyhw"},
    "transposed grid": {"transposed": True},
    "no cap": {"size_delta_cap": math.inf},
    "low cap": {"size_delta_cap": 0.05},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("name", ["sqdet", "squeezedet-fpn"])
def test_decoded_head_is_the_numpy_codec(tmp_path, name, changes):
    net, spec = make_net(name)
    if "transposed" in changes:
        spec = dataclasses.replace(spec, grids=tuple(dataclasses.replace(grid, **changes) for grid in spec.grids))
    else:
        spec = dataclasses.replace(spec, **changes)
    opencv_net = read_onnx(write(tmp_path, net, spec, "decoded").read_bytes(), "test")
    blob = images_to_blob(sample_pictures(1), spec)
    opencv_net.setInput(blob)
    boxes, scores = opencv_net.forward(list(HEADS["decoded"]))
    true_boxes, true_scores = truth(net, spec, blob)
    np.testing.assert_allclose(boxes, true_boxes, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(scores, true_scores, atol=1e-5)


@pytest.mark.parametrize(
    ("tolerance", "advice"), [(EXACT, "written$"), (HALF, "without --half")], ids=["exact", "half"]
)
def test_a_changed_weight_fails_the_check(tmp_path, tolerance, advice):
    net, spec = make_net()
    path = write(tmp_path, net, spec, "convdet")
    with torch.no_grad():
        net.convdet.bias[0] += 1
    with pytest.raises(ExportError, match=f"^asked.onnx: .*differs from PyTorch.*{advice}"):
        check_detector("asked.onnx", path.read_bytes(), net, spec, "convdet", 0, tolerance)


def test_a_spec_that_cannot_be_written_leaves_the_old_model(tmp_path, capsys):
    net, spec = make_net()
    save_checkpoint(tmp_path / "net.pt", net, spec, net.state_dict(), {})
    (tmp_path / "m.onnx").write_bytes(b"old")
    (tmp_path / "m.json").mkdir()
    assert main(["onnx", str(tmp_path / "net.pt"), "--out", str(tmp_path / "m.onnx")]) == 2
    assert "m.json" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.onnx", "net.pt"]


def test_crop_cuts_rings_off(tmp_path):
    net, spec = make_net(size_wh=(416, 416))
    assert spec.grid.hw == (25, 25)
    checkpoint = tmp_path / "net.pt"
    save_checkpoint(checkpoint, net, spec, net.state_dict(), {})
    out = tmp_path / "cropped.onnx"
    assert main(["onnx", str(checkpoint), "--crop", "1", "--out", str(out)]) == 0
    cropped = ModelSpec.load(out.with_suffix(".json"))
    assert cropped.grid.hw == (23, 23)
    inner = spec.anchors_cxcywh.reshape(25, 25, 2, 4)[1:-1, 1:-1].reshape(-1, 4)
    np.testing.assert_allclose(cropped.anchors_cxcywh, inner, atol=1e-4)


def test_half_file_is_half_as_large(tmp_path):
    net, spec = make_net()
    whole = write(tmp_path, net, spec, "convdet").stat().st_size
    assert write(tmp_path, net, spec, "convdet", half=True).stat().st_size < 0.52 * whole


@pytest.mark.parametrize("head", HEADS)
def test_detector_finds_what_pytorch_finds(tmp_path, head):
    net, spec = make_net()
    detector = Detector(write(tmp_path, net, spec, head), score_threshold=0.15)
    reference = TorchDetector(net, spec, score_threshold=0.15)
    pictures = sample_pictures(2)
    for found, expected in zip(detector.detect_batch(pictures), map(reference, pictures)):
        assert len(expected) > 3
        margins = {"score_margin": 1e-5, "box_margin": 0.05, "score_threshold": 0.15}
        assert_same_detections(as_rows(found), as_rows(expected), **margins)


def test_exported_model_is_a_warm_start(tmp_path):
    """BatchNorm was folded at export; the net that starts from the file has norms again and computes the same."""
    net, spec = make_net()
    path = write(tmp_path, net, spec, "convdet")
    fresh = build_net("sqdet", len(ANCHORS), len(LABELS))
    assert "new: none" in initialise(fresh, path).line
    x = torch.from_numpy(images_to_blob(sample_pictures(1), spec))
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(x), net(x), rtol=1e-3, atol=1e-4)


def test_command_writes_file_and_spec(tmp_path, capsys):
    net, spec = make_net()
    checkpoint = tmp_path / "net.pt"
    save_checkpoint(checkpoint, net, spec, net.state_dict(), {})
    assert main(["onnx", str(checkpoint), "--head", "decoded", "--size", "128x96"]) == 0
    assert "decoded head" in capsys.readouterr().out
    written = ModelSpec.load(tmp_path / "net.json")
    assert written.input_wh == (128, 96) and written.grid.hw == net.grid_hw((128, 96))
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {output.name for output in model.graph.output} == set(HEADS["decoded"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.json", "net.onnx", "net.pt"]


def test_failed_check_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    net, spec = make_net()
    checkpoint = tmp_path / "net.pt"
    save_checkpoint(checkpoint, net, spec, net.state_dict(), {})
    monkeypatch.setattr("export.onnx.export.EXACT", dataclasses.replace(EXACT, scores=-1.0))
    assert main(["onnx", str(checkpoint)]) == 2
    assert "differs from PyTorch" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["missing.pt"], "missing.pt: no such checkpoint", id="missing"),
        pytest.param(["net.pt", "--crop", "9"], "--crop 9", id="crop leaves nothing"),
        pytest.param(["net.pt", "--out", "model.pb"], "model.pb", id="suffix"),
        pytest.param([str(MODEL)], "sqdet_voc.sqdet: --out NAME.onnx is needed", id="released, no place"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    net, spec = make_net()
    save_checkpoint("net.pt", net, spec, net.state_dict(), {})
    assert main(["onnx", *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_batch_of_any_size(tmp_path):
    """The file declares one image; OpenCV takes more, on every version that we support."""
    net, spec = make_net()
    opencv_net = cv2.dnn.readNetFromONNX(str(write(tmp_path, net, spec, "decoded")))
    blob = images_to_blob(sample_pictures(3), spec)
    opencv_net.setInput(blob)
    boxes, _ = opencv_net.forward(list(HEADS["decoded"]))
    assert boxes.shape == (3, spec.num_anchors, 4)
    np.testing.assert_allclose(boxes, truth(net, spec, blob)[0], rtol=1e-4, atol=1e-2)
