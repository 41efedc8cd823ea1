"""The command as a user runs it, with the embedded model."""

import json
import subprocess
import sys

import cv2
import numpy as np

from tests.released import PICTURES, ROOT


def sqdet(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sqdet_cv", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_cat_and_person(tmp_path):
    done = sqdet(
        *("detect", PICTURES, "--out", tmp_path, "--json", tmp_path / "found.json"),
        *("--backend", "opencv"),  # `auto` has something to say where there is a GPU
    )
    assert done.returncode == 0 and done.stderr == ""
    lines = {line.split(":")[0].rpartition("/")[2]: line for line in done.stdout.splitlines()}
    assert set(lines) == {"astronaut.jpg", "cat.jpg"}
    assert "1 cat" in lines["cat.jpg"] and "person" in lines["astronaut.jpg"]
    for entry in json.loads((tmp_path / "found.json").read_text()):
        name = entry["source"].rpartition("/")[2]
        original, drawn = cv2.imread(str(PICTURES / name)), cv2.imread(str(tmp_path / name))
        assert drawn.shape == original.shape
        if entry["detections"]:
            assert np.abs(drawn.astype(int) - original).max() > 100  # something was drawn


def test_wrong_path_is_one_line():
    done = sqdet("detect", "nowhere.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "nowhere.jpg" in done.stderr


def test_model_that_is_none(tmp_path):
    (tmp_path / "empty.onnx").write_bytes(b"")
    done = sqdet("detect", PICTURES / "cat.jpg", "--model", tmp_path / "empty.onnx")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "empty.onnx" in done.stderr


def test_backend_that_is_missing():
    done = sqdet("detect", PICTURES / "cat.jpg", "--backend", "cuda")
    if done.returncode:  # an OpenCV with CUDA runs it
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "which has opencv" in done.stderr
