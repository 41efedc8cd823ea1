"""Caffe pairs run by OpenCV 4 against PyTorch, the published 2017 net, InferBbox and cv2.dnn.DetectionModel."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from export.__main__ import main
from export.caffe import export_caffe
from export.caffe.builder import INPUT
from export.caffe.detection_output import Suppression
from export.caffe.infer_bbox import infer_bbox_scale_and_shift
from export.caffe.model import detector_net
from export.caffe.proto import from_text, to_text
from export.check import sample_pictures
from export.errors import ExportError
from export.graph.trace import trace
from sqdet_cv import Detector, InferBbox, ModelSpec
from sqdet_cv.boxes.ops import decode
from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC
from sqdet_cv.dnn.caffe import forward_detector, read_caffe
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.released import PHOTOS, released_net
from tests.same_detections import as_rows, assert_same_detections
from train.checkpoints.native import save_checkpoint
from train.detectors.pytorch import TorchDetector
from train.models import build_net

from .test_onnx import make_net

LAYERS_2017 = Path(__file__).parents[2] / "data" / "squeezedet_2017_layers.json"


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A checkpoint of the released weights."""
    net, spec = released_net()
    path = tmp_path_factory.mktemp("released") / "net.pt"
    save_checkpoint(path, net, spec, net.state_dict(), {})
    return path


@pytest.fixture(scope="module")
def exported(released, tmp_path_factory):
    """exported(option, ...): the .caffemodel that `python -m export caffe` writes from the released weights."""
    folder = tmp_path_factory.mktemp("exported")

    def export(*options: str) -> Path:
        out = folder / ("net" + "".join(options) + ".caffemodel")
        if not out.exists():
            assert main(["caffe", str(released), "--out", str(out), *options]) == 0
        return out

    return export


def test_the_2017_net_is_the_published_one():
    """SqueezeDet_deploy.prototxt of opencv_contrib: name, type and output shapes of each layer, in order."""
    net = build_net("squeezedet-2017", 9, 20).eval()
    grid = dataclasses.replace(VOC_2017_SPEC.grid, inset=1)
    message = detector_net(trace(net, INPUT), dataclasses.replace(VOC_2017_SPEC, grids=(grid,)))
    opencv_net = read_caffe(to_text(message).encode(), message.SerializeToString(), "test")
    ids, _, shapes = opencv_net.getLayersShapes([1, 3, 416, 416])
    by_name = {
        opencv_net.getLayer(int(i)).name: [list(map(int, shape)) for shape in out] for i, out in zip(ids, shapes)
    }
    ours = [[layer.name, layer.type, by_name[layer.name]] for layer in message.layer]
    assert ours == json.loads(LAYERS_2017.read_text())
    assert sum(len(blob.data) for layer in message.layer for blob in layer.blobs) == 3_712_585


@pytest.mark.parametrize("name", ["sqdet", "squeezedet", "squeezedet-2017", "squeezedet-fpn"])
@pytest.mark.parametrize("reader", [cv2.dnn.readNetFromCaffe, cv2.dnn.readNet], ids=["readNetFromCaffe", "readNet"])
def test_opencv_agrees_with_pytorch(tmp_path, name, reader):
    net, spec = make_net(name)
    message = detector_net(trace(net, INPUT), spec)
    (tmp_path / "net.prototxt").write_text(to_text(message))
    (tmp_path / "net.caffemodel").write_bytes(message.SerializeToString())
    opencv_net = reader(str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel"))
    x = np.random.default_rng(0).normal(0, 40, (1, 3, 64, 96)).astype(np.float32)
    opencv_net.setInput(x)
    parts, (class_scores,), (confidence,) = opencv_net.forwardAndRetrieve(["slice", "softmax", "sigmoid"])
    with torch.no_grad():
        raw = net.split(net(torch.from_numpy(x)))
    np.testing.assert_allclose(parts[2].reshape(1, -1, 4), raw.deltas, atol=1e-4)
    np.testing.assert_allclose(class_scores, raw.class_logits.softmax(dim=2), atol=1e-4)
    np.testing.assert_allclose(confidence.reshape(1, -1), raw.confidence_logits.sigmoid(), atol=1e-4)


def test_a_prototxt_reads_back():
    net, spec = make_net()
    text = to_text(detector_net(trace(net, INPUT), spec))
    assert "blobs" not in text
    assert to_text(from_text(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--size", "416"], ["--half"], ["--infer-bbox"]], ids=str)
def test_detector_runs_every_form(exported, options):
    """The C++ class's geometry too: it is a ModelSpec like any other, in which the four grids are rows of one."""
    path = exported(*options)
    spec = ModelSpec.load(path.with_suffix(".json"))
    net, own = released_net()
    own = own.resized(spec.input_wh, net.grids_hw(spec.input_wh))
    detector = Detector(path, score_threshold=0.2)
    reference = TorchDetector(net, own, score_threshold=0.2)
    tolerance = 3e-3 if options == ["--half"] else 1e-4
    compared = 0
    for photo in PHOTOS:
        image = cv2.imread(str(photo))
        found, expected = detector(image), reference(image)
        box_margin = 30 * tolerance * max(image.shape)  # of half-precision weights: a few pixels of the photo
        margins = {"score_margin": tolerance, "box_margin": max(box_margin, 0.5), "score_threshold": 0.2}
        assert_same_detections(as_rows(found), as_rows(expected), **margins)
        compared += len(found)
    assert compared > 5


def test_infer_bbox_deltas_are_the_same_boxes():
    """Our anchors with our deltas, and the C++ class's with the re-expressed ones, against the codec."""
    rng = np.random.default_rng(0)
    anchors = tuple((float(w), float(h)) for w, h in rng.uniform(20, 400, (9, 2)))
    spec = ModelSpec.single(VOC_LABELS, (416, 416), (23, 23), anchors, grid_inset=1, size_delta_cap=float("inf"))
    deltas = rng.normal(0, 0.5, (23, 23, 9, 4)).astype(np.float32)
    scale, shift = infer_bbox_scale_and_shift(spec)
    reordered = deltas[..., [0, 1, 3, 2]].transpose(1, 0, 2, 3).reshape(23, 23, 36)
    theirs = decode((reordered * scale + shift).reshape(-1, 4), VOC_2017_SPEC)
    ours = decode(deltas.reshape(-1, 4), spec)
    theirs = theirs.reshape(23, 23, 9, 4).transpose(1, 0, 2, 3).reshape(-1, 4)
    np.testing.assert_allclose(theirs, ours, atol=0.02)


@pytest.mark.slow
def test_infer_bbox_finds_what_the_detector_finds(exported):
    """The class's own rules, applied to the Detector's candidates, give the class's objects."""
    path = exported("--infer-bbox")
    net = cv2.dnn.readNetFromCaffe(str(path.with_suffix(".prototxt")), str(path))
    spec = ModelSpec.load(path.with_suffix(".json"))
    detector = Detector(path, score_threshold=0.2, nms_threshold=0.1)
    objects = 0
    for photo in PHOTOS:
        image = cv2.imread(str(photo))
        net.setInput(images_to_blob([image], spec))
        parts, (class_scores,), (confidence,) = net.forwardAndRetrieve(["slice", "softmax", "sigmoid"])
        shaped = parts[2].reshape(23, 23, 36), class_scores[0], confidence.reshape(23, 23, 9)  # as the C++ sample does
        infer = InferBbox(*shaped)
        infer.filter(0.2)
        found = list(detector(image))
        size = np.array(image.shape[1::-1]) / 416
        for one in infer.detections:
            same = [d for d in found if d.label == one.label_name and abs(d.score - one.class_prob) < 1e-4]
            assert len(same) == 1
            box = np.array([one.xmin, one.ymin, one.xmax, one.ymax]) * np.tile(size, 2)
            np.testing.assert_allclose(box, same[0].box_xyxy, atol=2 * size.max())  # whole pixels, to 415
        objects += len(infer.detections)
    assert objects > 5


def test_infer_bbox_of_four_grids(tmp_path):
    """Each of the 3,598 anchors is a row of the class's, the others say nothing, and the class finds the best."""
    net, spec = make_net("squeezedet-fpn", (416, 416), VOC_LABELS)
    spec = dataclasses.replace(spec, size_delta_cap=float("inf"))  # as the class has it
    export_caffe(net, spec, tmp_path / "net.caffemodel", head="infer-bbox")
    opencv_net = cv2.dnn.readNetFromCaffe(str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel"))
    assert ModelSpec.load(tmp_path / "net.json").grids == VOC_2017_SPEC.grids
    (blob,) = images_to_blob(sample_pictures(1), spec)[None]
    deltas, class_scores, confidence = forward_detector(opencv_net, blob)
    with torch.no_grad():
        raw = net.split(net(torch.from_numpy(blob)))
    theirs, ours = decode(deltas[0], VOC_2017_SPEC)[:3598], decode(raw.deltas[0].numpy(), spec)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(confidence[0, :3598], raw.confidence_logits[0].sigmoid(), atol=1e-4)
    assert not confidence[0, 3598:].any()
    shaped = deltas.reshape(23, 23, 36), class_scores[0], confidence.reshape(23, 23, 9)
    infer = InferBbox(*shaped)
    infer.filter(0.1)
    scores = class_scores[0] * confidence[0, :, None]
    assert len(infer.detections) > 3
    for one in infer.detections:
        assert np.isclose(scores[:, one.class_idx], one.class_prob, rtol=1e-6).any()


@pytest.mark.slow
def test_detection_model_gives_our_boxes(exported):
    """cv2.dnn.DetectionModel, no line of ours: same classes, scores, and boxes to a pixel."""
    path = exported("--detection-output")
    spec = ModelSpec.load(path.with_suffix(".json"))
    model = cv2.dnn.DetectionModel(str(path), str(path.with_suffix(".prototxt")))
    model.setInputParams(1.0, spec.input_wh, spec.mean_bgr)
    detector = Detector(
        exported(), score_threshold=0.3
    )  # lower, Detector's 400 candidates fill; the net's are per class
    objects = 0
    for photo in PHOTOS:
        image = cv2.imread(str(photo))
        if max(image.shape[:2]) > 2 * spec.input_wh[0]:  # Detector then averages over areas, cv2 does not
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        class_ids, scores, boxes_xywh = (np.asarray(values) for values in model.detect(image, 0.3, 0.4))
        found = detector(image)
        assert list(class_ids) == list(found.class_ids)
        np.testing.assert_allclose(scores, found.scores, atol=1e-4)
        for (x, y, w, h), box in zip(boxes_xywh, found.boxes_xyxy):
            np.testing.assert_allclose([x, y, x + w, y + h], box, atol=1.01)
        objects += len(found)
    assert objects > 5


@pytest.mark.parametrize(("name", "crop"), [("sqdet", ["--crop", "1"]), ("squeezedet-fpn", [])])
def test_detection_output_of_any_geometry(tmp_path, capsys, name, crop):
    """Not square, and a crop or several grids: the check compares each row with the anchors."""
    net, spec = make_net(name, (160, 128))
    save_checkpoint(tmp_path / "net.pt", net, spec, net.state_dict(), {})
    options = ["--detection-output", *crop, "--keep", "7", "--score", "0.01"]
    assert main(["caffe", str(tmp_path / "net.pt"), *options]) == 0
    opencv_net = cv2.dnn.readNet(str(tmp_path / "net.caffemodel"), str(tmp_path / "net.prototxt"))
    opencv_net.setInput(np.zeros((1, 3, 128, 160), np.float32))
    assert opencv_net.forward().shape == (1, 1, 7, 7)


def test_suppression_is_in_the_prototxt():
    net, spec = make_net()
    message = detector_net(trace(net, INPUT), spec, "detection-output", suppression=Suppression(0.25, 0.5, 9))
    parameters = message.layer[-1].detection_output_param
    assert (parameters.confidence_threshold, parameters.keep_top_k) == (0.25, 9)
    assert parameters.nms_param.nms_threshold == 0.5


BAD = {
    "missing": (["missing.pt"], "missing.pt: no such checkpoint"),
    "suffix": (["net.pt", "--out", "net.prototxt"], "net.prototxt: expected a name that ends in .caffemodel"),
    "other classes": (["net.pt", "--infer-bbox"], "20 PASCAL VOC classes"),
    "too few cells": (
        ["net.pt", "--infer-bbox", "--size", "304"],
        "--infer-bbox: made for 416 px; at 304 px there are",
    ),
    "threshold": (["net.pt", "--detection-output", "--score", "1.5"], "--score 1.5"),
    "suppression": (["net.pt", "--detection-output", "--nms", "0"], "--nms 0"),
    "rows": (["net.pt", "--detection-output", "--keep", "0"], "--keep 0"),
    "options of another head": (
        ["net.pt", "--score", "0.3", "--keep", "5"],
        "--score, --keep: needs --detection-output",
    ),
    "suppression for the 2017 class": (["net.pt", "--infer-bbox", "--nms", "0.4"], "--nms: needs --detection-output"),
    "crop": (["net.pt", "--crop", "9"], "--crop 9"),
}


@pytest.mark.parametrize(("options", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, options, said):
    monkeypatch.chdir(tmp_path)
    net, spec = make_net()
    save_checkpoint("net.pt", net, spec, net.state_dict(), {})
    assert main(["caffe", *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


def test_infer_bbox_needs_its_grid():
    net, spec = make_net("sqdet")
    spec = dataclasses.replace(spec, labels=VOC_LABELS)
    with pytest.raises(ExportError, match="416 x 416 pixels and 23 x 23 cells of 9 shapes"):
        detector_net(trace(net, INPUT), spec, "infer-bbox")
