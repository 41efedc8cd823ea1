from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Classifier
from tests.colours import BLUE_BGR, CLASSIFIER, DETECTOR, RED_BGR

from .loading import load_sample


@pytest.fixture
def sample(monkeypatch, tmp_path):
    """In a folder with a blue and a red image."""
    monkeypatch.chdir(tmp_path)
    for name, color in (("blue.png", BLUE_BGR), ("red.png", RED_BGR)):
        cv2.imwrite(name, np.full((120, 160, 3), color, np.uint8))
    return load_sample("classify_image")


def test_prints_the_best_classes(sample, capsys):
    assert sample.main(["--model", str(CLASSIFIER), "blue.png", "red.png", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and (lines[0], lines[3]) == ("blue.png", "red.png")
    for line, name, rank in ((lines[1], "blue.png", 0), (lines[2], "blue.png", 1), (lines[4], "red.png", 0)):
        answer = Classifier(CLASSIFIER)(cv2.imread(name))[rank]
        assert line == f"  {answer.score:.4f} {answer.label}"
    assert lines[1].endswith("blue") and lines[4].endswith("red")


@pytest.mark.parametrize("size_wh", [(160, 120), (40, 300), (2, 2)], ids=str)
def test_writes_annotated_images(sample, size_wh: tuple[int, int]):
    cv2.imwrite("red.png", np.full((size_wh[1], size_wh[0], 3), RED_BGR, np.uint8))
    assert sample.main(["--model", str(CLASSIFIER), ".", "--out", "out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["blue.png", "red.png"]
    for name, color in (("red.png", RED_BGR), ("blue.png", BLUE_BGR)):
        written = cv2.imread(f"out/{name}")
        assert written.shape == cv2.imread(name).shape
        if name == "blue.png" or size_wh[0] > 2:
            # there is a text, and it does not reach the right edge
            assert (written != color).any() and (written[:, -1] == color).all()


def test_top_5_is_pytorchs(sample, capsys):
    """The whole road: weights, export, sample."""
    torch = pytest.importorskip("torch")
    from export.__main__ import main as export_main
    from sqdet_cv.dnn.preprocess import classifier_blob
    from train.models import SqueezeNet

    torch.manual_seed(0)
    net = SqueezeNet("1.1", num_classes=9).eval()
    torch.nn.init.normal_(net.conv10.weight, std=2.0)
    torch.nn.init.constant_(net.conv10.bias, 5.0)  # above 0, or the last ReLU makes some classes equal
    torch.save(net.state_dict(), "net.pt")
    labels = [f"class {i}" for i in range(9)]
    Path("names.txt").write_text("\n".join(labels))
    assert export_main(["classifier", "net.pt", "--labels", "names.txt", "--size", "64", "--out", "net.onnx"]) == 0
    cv2.imwrite("noise.png", np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8))
    capsys.readouterr()

    assert sample.main(["--model", "net.onnx", "noise.png"]) == 0
    found = re.findall(r"0\.\d{4} (.+)", capsys.readouterr().out)
    with torch.no_grad():
        logits = net(torch.from_numpy(classifier_blob(cv2.imread("noise.png"), Classifier("net.onnx").spec)))[0]
    assert found == [labels[i] for i in logits.argsort(descending=True)[:5]]


BAD = {
    "no arguments": ([], "IMAGE"),
    "image missing": (["--model", str(CLASSIFIER), "red.png", "no.jpg"], "no.jpg: no such file"),
    "not an image": (["--model", str(CLASSIFIER), "damaged.jpg"], "damaged.jpg: damaged, or not an image"),
    "camera": (["--model", str(CLASSIFIER), "0"], "camera 0: not an image"),
    "model missing": (["--model", "no.onnx", "red.png"], "no.onnx: no such model file"),
    "a detector": (["--model", str(DETECTOR), "red.png"], "not a classifier spec"),
    "top": (["--model", str(CLASSIFIER), "red.png", "--top", "0"], "top is 0"),
    "out onto itself": (["--model", str(CLASSIFIER), "red.png", "--out", "."], "would overwrite"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(sample, capfd, arguments: list[str], said: str):
    Path("damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of an image")
    try:
        code = sample.main(arguments)
    except SystemExit as error:  # argparse
        code = error.code
    out, err = capfd.readouterr()
    assert code == 2 and out == ""
    assert said in err.splitlines()[-1] and "Traceback" not in err


def test_a_damaged_image_does_not_cost_the_others(sample, capsys):
    Path("images").mkdir()
    Path("images/a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of an image")
    shutil.copy("red.png", "images/b.png")
    assert sample.main(["--model", str(CLASSIFIER), "images", "--top", "1"]) == 2
    out, err = capsys.readouterr()
    assert out.endswith("red\n") and "b.png" in out
    assert err.startswith("classify_image: images/a.jpg: damaged") and err.count("\n") == 1


def test_a_model_beside_its_spec_is_enough(sample, tmp_path, capsys):
    for suffix in (".onnx", ".json"):
        shutil.copy(CLASSIFIER.with_suffix(suffix), tmp_path / f"mine{suffix}")
    assert sample.main(["--model", "mine.onnx", "red.png", "--top", "1"]) == 0
    assert capsys.readouterr().out.endswith("red\n")
