"""`sqdet info MODEL`: what it says of files of every kind, and of files that are no model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from sqdet_cv.cli import main as cli
from sqdet_cv.cli.describe import describe_model
from sqdet_cv.dnn.onnx_spec import with_spec, without_spec
from tests.colours import CLASSIFIER, DETECTOR
from tests.grids_model import CAFFE
from tests.helpers import make_spec
from tests.released import MODEL, released_onnx


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_detector(capsys):
    assert cli.main(["info", str(DETECTOR), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": str(DETECTOR),
        "bytes": DETECTOR.stat().st_size,
        "kind": "detector",
        "head": "decoded",
        "input_wh": [96, 64],
        "labels": ["red", "blue"],
        "parameters": 476,
        "opencv": cv2.__version__,
        "runs": True,
        "reason": None,
    }


def test_a_classifier():
    facts = describe_model(CLASSIFIER)
    assert (facts["kind"], facts["head"], facts["runs"]) == ("classifier", "probabilities", True)
    assert facts["input_wh"] == [24, 16] and facts["labels"] == ["blue", "green", "red"]


def test_a_packed_file():
    facts, (_, spec) = describe_model(MODEL), released_onnx()
    assert (facts["kind"], facts["head"], facts["runs"]) == ("detector", "convdet", True)
    assert facts["labels"] == list(spec.labels) and facts["bytes"] == MODEL.stat().st_size


def test_a_caffe_file_is_described_where_it_does_not_run(monkeypatch):
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe", raising=False)
    facts = describe_model(CAFFE)
    assert facts["kind"] == "detector" and facts["runs"] is False and "no Caffe importer" in facts["reason"]
    assert facts["labels"] and facts["parameters"] > 0


@pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 reads no Caffe files")
def test_a_caffe_file_runs_in_opencv_4():
    assert describe_model(CAFFE)["runs"] is True


def test_a_foreign_file():
    Path("foreign.onnx").write_bytes(without_spec(CLASSIFIER.read_bytes()))
    facts = describe_model("foreign.onnx")
    assert (facts["kind"], facts["labels"], facts["runs"]) == ("foreign", None, True)
    assert facts["input_wh"] == [24, 16] and facts["head"] == "probabilities" and facts["parameters"] == 12


def test_a_foreign_file_of_an_open_size_is_not_tried():
    # the size 24 of the input becomes a name: dim_value to dim_param
    data = without_spec(CLASSIFIER.read_bytes())
    assert data.count(b"\x0a\x02\x08\x18") == 1
    Path("open.onnx").write_bytes(data.replace(b"\x0a\x02\x08\x18", b"\x0a\x02\x12\x00"))
    facts = describe_model("open.onnx")
    assert facts["input_wh"] is None and facts["runs"] in (None, False) and facts["reason"]


def test_a_spec_that_does_not_fit_the_net_is_why_it_does_not_run():
    Path("odd.onnx").write_bytes(with_spec(DETECTOR.read_bytes(), make_spec().to_json()))
    facts = describe_model("odd.onnx")
    assert facts["kind"] == "detector" and facts["runs"] is False and facts["reason"]
    assert "\n" not in facts["reason"] and "odd.onnx" not in facts["reason"]


def test_an_operation_that_opencv_lacks_is_why_it_does_not_run():
    data = without_spec(CLASSIFIER.read_bytes())
    Path("odd.onnx").write_bytes(data.replace(b"\x22\x07Flatten", b"\x22\x07Flottin"))
    facts = describe_model("odd.onnx")
    assert facts["kind"] == "foreign" and facts["runs"] is False and facts["reason"]


def test_lines_for_people(capsys):
    shutil.copy(DETECTOR, "mine.onnx")
    assert cli.main(["info", "mine.onnx"]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines.pop("mine.onnx") == "detector" and lines.pop(f"runs in OpenCV {cv2.__version__}") == "yes"
    assert lines["input"] == "96 x 64 pixels" and lines["classes"] == "2: red, blue" and "476" in lines["parameters"]


def test_of_many_classes_a_line_names_some(capsys):
    assert cli.main(["info", str(MODEL.with_name("squeezenet_imagenet.sqdet"))]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("classes: "))
    assert line.startswith("classes: 1000: tench, ") and line.endswith(", ...") and len(line) < 500


@pytest.mark.parametrize(
    "name", ["missing.onnx", "text.onnx", "empty.onnx", "text.sqdet", "text.caffemodel", "text.md"]
)
def test_what_is_no_model_is_one_line(capsys, name: str):
    for path in ("text.onnx", "text.sqdet", "text.caffemodel", "text.md"):
        Path(path).write_text("hello")
    Path("empty.onnx").touch()
    assert cli.main(["info", name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith(f"sqdet: {name}: ")


def test_the_json_of_another_model_is_one_line(capsys):
    shutil.copy(DETECTOR, "mine.onnx")
    make_spec().save("mine.json")
    assert cli.main(["info", "mine.onnx"]) == 2
    assert "mine.json" in capsys.readouterr().err
