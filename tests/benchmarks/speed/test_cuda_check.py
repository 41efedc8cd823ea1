"""The check's own logic, where there is no CUDA: a Detector on the CPU stands in for it."""

import cv2
import numpy as np
import pytest

from benchmarks.speed import cuda_check
from sqdet_cv import BackendError, Detector

ERRORS = {"opencv": 0.0, "cuda": 0.0, "cuda-fp16": 0.0}  # what the stand-in adds to the class scores


@pytest.fixture
def stand_in(monkeypatch):
    errors = dict(ERRORS)

    class StandIn(Detector):
        def __init__(self, model, backend):
            if backend not in errors:
                raise BackendError(f"backend {backend!r} is not there")
            self.error = errors[backend]
            super().__init__(model, backend="opencv")

        def forward(self, blob):
            deltas, class_scores, confidence = super().forward(blob)
            return [deltas, class_scores + self.error, np.ones_like(confidence)]

    monkeypatch.setattr(cuda_check, "choose_backend", lambda name: None)
    monkeypatch.setattr(cuda_check, "Detector", StandIn)
    return errors


def test_without_cuda_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])
    assert cuda_check.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cuda_check: backend 'cuda' is not in this OpenCV") and "NVIDIA GPU" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({}, 0, id="equal"),
        pytest.param({"cuda": 9e-4, "cuda-fp16": 9e-3}, 0, id="within the limits"),
        pytest.param({"cuda": 2e-3}, 1, id="cuda differs"),
        pytest.param({"cuda-fp16": 2e-2}, 1, id="cuda-fp16 differs"),
    ],
)
def test_differences_decide(stand_in, capsys, changes, code):
    stand_in.update(changes)
    assert cuda_check.main(["--rounds", "2"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(ERRORS)
    assert f"at most {changes.get('cuda', 0):.1e}" in lines[2]


def test_a_refused_half_precision_is_no_failure(stand_in, capsys):
    del stand_in["cuda-fp16"]
    assert cuda_check.main(["--rounds", "2"]) == 0
    assert capsys.readouterr().out.startswith("backend 'cuda-fp16' is not there\n")


def test_a_model_that_is_none_is_one_line(stand_in, capsys):
    assert cuda_check.main(["--model", "nowhere.onnx"]) == 1
    assert capsys.readouterr().err == "cuda_check: nowhere.onnx: no such model file\n"
