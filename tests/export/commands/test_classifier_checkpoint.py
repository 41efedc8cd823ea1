"""`python -m export classifier` on what `python -m train classify` saves: labels and input come from the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.__main__ import main
from export.check import sample_pictures
from sqdet_cv import Classifier
from sqdet_cv.dnn.preprocess import classifier_blob
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from train.checkpoints.native import save_classifier
from train.models.squeezenet import SqueezeNet, initialize_weights

LABELS = ("ant", "bee", "cat")
SPEC = ClassifierSpec(LABELS, (64, 64), resize="center_crop", resize_side=72)


@pytest.fixture
def net() -> SqueezeNet:
    """The averaged weights; conv10 such that the answers differ from image to image."""
    torch.manual_seed(0)
    net = SqueezeNet("1.1", len(LABELS)).eval()
    initialize_weights(net)
    with torch.no_grad():
        net.conv10.weight.mul_(8)
        net.conv10.bias.fill_(5.0)
    return net


@pytest.fixture
def folder(net: SqueezeNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    other = SqueezeNet("1.1", len(LABELS))  # the last step's weights, which are not the ones to export
    save_classifier("best.pt", other, "1.1", SPEC, net.state_dict(), {"epoch": 1})
    torch.save(net.state_dict(), "weights.pt")
    Path("names.txt").write_text("Ameise\nBiene\nKatze\n")
    return tmp_path


def test_the_exported_run_says_what_pytorch_says(folder: Path, net: SqueezeNet):
    assert main(["classifier", "best.pt", "--out", "c.onnx"]) == 0
    classifier = Classifier("c.onnx")
    assert classifier.spec == SPEC
    answers = []
    for picture in sample_pictures(3, seed=5):
        with torch.no_grad():
            expected = net(torch.from_numpy(classifier_blob(picture, SPEC))).softmax(dim=1)[0].numpy()
        np.testing.assert_allclose(classifier.probabilities(picture), expected, atol=1e-5)
        answers.append(expected)
    assert np.ptp(answers, axis=0).max() > 0.01, "the answers differ"


OPTIONS = [
    pytest.param(["--labels", "names.txt"], {"labels": ("Ameise", "Biene", "Katze")}, id="other names"),
    pytest.param(["--size", "96"], {"input_wh": (96, 96), "resize_side": 108}, id="larger input"),
    pytest.param(["--stretch"], {"resize": "stretch", "resize_side": None}, id="whole image"),
]


@pytest.mark.parametrize(("options", "changes"), OPTIONS)
def test_options_replace_what_the_run_says(folder: Path, options: list[str], changes: dict):
    assert main(["classifier", "best.pt", "--out", "c.onnx", *options]) == 0
    assert ClassifierSpec.load("c.json") == ClassifierSpec(**(vars(SPEC) | changes))


BAD = [
    pytest.param(["best.pt", "--version", "1.0"], "best.pt: the weights of SqueezeNet 1.1, not 1.0", id="version"),
    pytest.param(["weights.pt"], "weights.pt: holds no class names; give them by --labels FILE", id="no names"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_errors_are_one_line(folder: Path, capsys, options: list[str], message: str):
    assert main(["classifier", *options, "--out", "c.onnx"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not Path("c.onnx").exists()
