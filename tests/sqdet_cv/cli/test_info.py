"""`sqdet info`: what it says is what is there."""

import json
import platform
import warnings

import cv2
import numpy as np
import pytest

from sqdet_cv import __version__
from sqdet_cv.cli import main as cli
from sqdet_cv.dnn.backends import BACKENDS
from tests.released import MODEL, released_onnx


@pytest.fixture
def plain_build(monkeypatch):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])


def test_json(plain_build, capsys):
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [facts[key] for key in ("sqdet", "python", "numpy", "opencv")] == [
        *(__version__, platform.python_version(), np.__version__, cv2.__version__)
    ]
    assert facts["auto"] == "opencv"
    assert [backend["name"] for backend in facts["backends"]] == [backend.name for backend in BACKENDS]
    assert [backend["name"] for backend in facts["backends"] if backend["available"]] == ["opencv"]
    assert all((backend["needs"] is None) == backend["available"] for backend in facts["backends"])
    _, spec = released_onnx()
    assert facts["model"] == {
        "name": MODEL.name,
        "bytes": MODEL.stat().st_size,
        "input_wh": list(spec.input_wh),
        "labels": list(spec.labels),
    }


def test_lines_for_people(plain_build, capsys):
    assert cli.main(["info"]) == 0
    first, head, *backends, model = capsys.readouterr().out.splitlines()
    assert all(
        version in first for version in (__version__, platform.python_version(), np.__version__, cv2.__version__)
    )
    assert "auto uses opencv" in head
    answers = dict(line.split(maxsplit=1) for line in backends)
    assert list(answers) == [backend.name for backend in BACKENDS]
    assert answers.pop("opencv").startswith("yes, DNN_BACKEND_OPENCV")
    assert all(answer.startswith("no, ") for answer in answers.values())
    assert "NVIDIA GPU" in answers["cuda"]
    assert all(part in model for part in (MODEL.name, "256 x 256", "20 classes", "aeroplane"))


def test_a_warning_is_one_line(plain_build, monkeypatch, capsys):
    monkeypatch.setattr("sqdet_cv.dnn.startup.expects_cuda", lambda: True)
    monkeypatch.setattr("sqdet_cv.dnn.startup._warn_once", warnings.warn)
    assert cli.main(["info"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sqdet: ") and "CPU" in line and "'cuda'" in line
