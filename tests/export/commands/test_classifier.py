"""Exported classifiers in cv2.dnn against PyTorch."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export import classifier as classifier_export
from export.__main__ import main
from export.caffe.proto import from_text
from export.check import check_classifier, sample_pictures
from export.errors import ExportError
from sqdet_cv import Classifier, ClassifierSpec
from sqdet_cv.dnn.preprocess import classifier_blob
from tests import write_colour_models
from tests.colours import CLASSIFIER, DETECTOR
from train.models import SqueezeNet

LABELS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")

needs_caffe = pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 has no Caffe importer")


def make_net(version: str) -> SqueezeNet:
    """Lively outputs: a fresh net says 1/7 for every class, which hides errors."""
    torch.manual_seed(1)
    net = SqueezeNet(version, len(LABELS)).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    with torch.no_grad():
        net.conv10.weight.mul_(0.02)
        net.conv10.bias.fill_(3.0)  # above 0, or the last ReLU makes some classes equal
    return net


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of both versions and the class names, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for version in ("1.0", "1.1"):
        torch.save(make_net(version).state_dict(), f"v{version}.pt")
    Path("names.txt").write_text("\n".join(LABELS))
    return tmp_path


def export(version: str, out: str, *options: str) -> None:
    assert main(["classifier", f"v{version}.pt", "--labels", "names.txt", "--out", out, *options]) == 0


def torch_probabilities(net: SqueezeNet, picture: np.ndarray, spec: ClassifierSpec) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(classifier_blob(picture, spec))).softmax(dim=1)[0].numpy()


RULES = {
    "papers": ([], ClassifierSpec(LABELS, (227, 227), resize="center_crop", resize_side=256)),
    "small crop": (["--size", "64"], ClassifierSpec(LABELS, (64, 64), resize="center_crop", resize_side=72)),
    "2017 sample": (["--size", "96x64", "--stretch"], ClassifierSpec(LABELS, (96, 64))),
}


@pytest.mark.parametrize("options", [rule[0] for rule in RULES.values()], ids=RULES)
def test_an_exported_classifier_is_exported_again(folder: Path, options: list[str]):
    """From both kinds of file, to the same bytes and the same spec."""
    export("1.1", "c.onnx", *options)
    assert main(["packed", "c.onnx"]) == 0
    for source in ("c.onnx", "c.sqdet"):
        assert main(["classifier", source, "--out", "again.onnx"]) == 0
        for suffix in (".onnx", ".json"):
            assert Path(f"again{suffix}").read_bytes() == Path(f"c{suffix}").read_bytes()


def test_a_detector_is_no_classifier_to_export(folder: Path, capsys):
    assert main(["classifier", str(DETECTOR), "--out", "c.onnx"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {DETECTOR}: detector.json: ")
    assert not Path("c.onnx").exists()


@pytest.mark.parametrize(("options", "spec"), RULES.values(), ids=RULES)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_classifier_says_what_pytorch_says(folder: Path, capsys, version: str, options: list[str], spec):
    export(version, "c.onnx", *options)
    assert f"SqueezeNet {version}, 7 classes" in capsys.readouterr().out
    classifier, net = Classifier("c.onnx"), make_net(version)
    assert classifier.spec == spec
    for picture in sample_pictures(2, seed=5):
        expected = torch_probabilities(net, picture, spec)
        answers = classifier(picture)
        assert [answer.class_id for answer in answers] == np.argsort(-expected)[:5].tolist()
        np.testing.assert_allclose([answer.score for answer in answers], np.sort(expected)[:1:-1], atol=1e-5)
    assert np.ptp(expected) > 0.05, "the answers are lively"


@needs_caffe
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_caffe_pair_says_what_pytorch_says(folder: Path, version: str):
    export(version, "c.caffemodel", "--size", "96x64", "--stretch")
    opencv_net, net = cv2.dnn.readNetFromCaffe("c.prototxt", "c.caffemodel"), make_net(version)
    spec = ClassifierSpec.load("c.json")
    for picture in sample_pictures(2, seed=5):
        expected = torch_probabilities(net, picture, spec)
        # as the 2017 sample image_classification.cpp does it; the image is small enough for the same resizing
        picture = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA)
        opencv_net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (96, 64), (104, 117, 123), swapRB=False))
        probabilities = opencv_net.forward("predictions").ravel()
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        assert np.argsort(-probabilities)[:5].tolist() == np.argsort(-expected)[:5].tolist()


@needs_caffe
def test_caffe_layers_are_those_of_the_2017_prototxt(folder: Path):
    export("1.0", "c.caffemodel", "--size", "64")
    layers = from_text(Path("c.prototxt").read_text()).layer
    fires = [f"fire{i}" for i in range(2, 10)]
    expected = ["conv1", "rect_conv1", "pool1"]
    for fire in fires:
        for part in ("squeeze", "expand_1x1", "expand_3x3"):
            expected += [f"{fire}_{part}", f"rect_{fire}_{part}"]
        expected += [fire, *{"fire4": ["pool4"], "fire8": ["pool8"]}.get(fire, [])]
    expected += ["conv10", "rect_conv10", "pool10", "predictions"]
    assert [layer.name for layer in layers] == expected
    pool, softmax = layers[-2:]
    assert pool.type == "Pooling" and pool.pooling_param.pool == 1 and pool.pooling_param.global_pooling
    assert softmax.type == "Softmax" and list(softmax.bottom) == ["pool10"] and softmax.softmax_param.axis == 1


@pytest.mark.parametrize("out", ["c.onnx", pytest.param("c.caffemodel", marks=needs_caffe)])
def test_half_is_half_as_large_and_computes_with_rounded_weights(folder: Path, out: str):
    export("1.1", f"whole_{out}", "--size", "64")
    export("1.1", out, "--size", "64", "--half")
    assert Path(out).stat().st_size < 0.52 * Path(f"whole_{out}").stat().st_size
    if out.endswith(".onnx"):
        classifier, (picture,) = Classifier(out), sample_pictures(1, seed=5)
        rounded = torch_probabilities(make_net("1.1").half().float(), picture, classifier.spec)
        np.testing.assert_allclose(classifier.probabilities(picture), rounded, atol=1e-5)


def test_no_1x1_convolution_is_padded(folder: Path):
    """OpenCV 5.1 computes large ones wrongly, for instance conv10 of version 1.0 at 416 px."""
    export("1.0", "c.onnx", "--size", "64")
    nodes = {node.name: node for node in onnx.load("c.onnx").graph.node}
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in nodes["conv10"].attribute}
    assert attributes["kernel_shape"] == [1, 1] and attributes["pads"] == [0] * 4
    assert nodes[nodes["conv10"].input[0]].op_type == "Pad"


def test_a_changed_weight_fails_the_check():
    net, spec = make_net("1.1"), ClassifierSpec(LABELS, (64, 64))
    exported = classifier_export._to_onnx("c.onnx", net, spec, half=False)
    assert check_classifier("c.onnx", exported.probabilities, net, spec) < 1e-5
    with torch.no_grad():
        net.conv10.bias[0] += 0.1
    with pytest.raises(ExportError, match=r"c\.onnx: OpenCV .* differs from PyTorch by .* \(allowed 0\.0001\)"):
        check_classifier("c.onnx", exported.probabilities, net, spec)


@pytest.mark.parametrize("answer", [np.full(7, np.nan, np.float32), np.zeros(6, np.float32)], ids=["NaN", "6 classes"])
def test_a_wrong_answer_fails_the_check(answer: np.ndarray):
    with pytest.raises(ExportError, match=r"c\.onnx: OpenCV"):
        check_classifier("c.onnx", lambda blob: answer, make_net("1.1"), ClassifierSpec(LABELS, (64, 64)))


@pytest.mark.parametrize("out", ["c.onnx", pytest.param("c.caffemodel", marks=needs_caffe)])
def test_a_failed_check_leaves_nothing_behind(folder: Path, monkeypatch, capsys, out: str):
    before = sorted(folder.iterdir())
    monkeypatch.setattr(classifier_export, "check_classifier", functools.partial(check_classifier, tolerance=-1.0))
    assert main(["classifier", "v1.1.pt", "--labels", "names.txt", "--out", out, "--size", "64"]) == 2
    assert "differs from PyTorch" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


BAD = {
    "weights missing": (["no.npz", "--out", "c.onnx"], "no.npz: no such file"),
    "suffix": (["v1.1.pt", "--out", "c.pb"], "c.pb: expected a name that ends in .onnx or .caffemodel"),
    "other version": (["v1.1.pt", "--out", "c.onnx", "--version", "1.0"], "the weights of SqueezeNet 1.1, not 1.0"),
    "labels missing": (["v1.1.pt", "--out", "c.onnx", "--labels", "no.txt"], "no.txt: cannot read the class names"),
    "labels of another": (["v1.1.pt", "--out", "c.onnx", "--labels", "two.txt"], "2 class names; the weights are"),
}


@pytest.mark.parametrize(("options", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(folder: Path, capsys, options: list[str], said: str):
    Path("two.txt").write_text("a\nb\n")
    assert main(["classifier", "--labels", "names.txt", *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not Path("c.onnx").exists()


def test_the_stored_colour_models_are_what_the_script_writes(tmp_path: Path):
    detector, classifier = tmp_path / "detector.onnx", tmp_path / "classifier.onnx"
    write_colour_models.main(detector, classifier)
    for written, stored in ((detector, DETECTOR), (classifier, CLASSIFIER)):
        assert onnx.load(written).graph == onnx.load(stored).graph
        assert written.with_suffix(".json").read_text() == stored.with_suffix(".json").read_text()
