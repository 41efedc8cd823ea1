"""The sample without sqdet_cv, run as a stranger would, against the boxes that were drawn and against Detector."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detector
from sqdet_cv.cli.main import main as sqdet
from tests.colours import BLUE_XYXY, DETECTOR, RED_XYXY, red_and_blue_picture

from .loading import SAMPLES

SAMPLE = SAMPLES / "detect_plain_cv2.py"


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-I", str(SAMPLE), *map(str, arguments)]  # -I: not even from the current folder
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def printed(text: str) -> list[tuple[str, float, list[int]]]:
    """Lines "red 0.99 0 32 64 96", sorted."""
    rows = [line.split() for line in text.splitlines()]
    return sorted((label, float(score), [int(value) for value in box]) for label, score, *box in rows)


def test_it_imports_cv2_and_numpy_alone():
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SAMPLE.read_text()))
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")])
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"cv2", "numpy"}


def test_finds_what_was_drawn(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), red_and_blue_picture())
    done = run(tmp_path, DETECTOR, "a.png", "found.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert printed(done.stdout) == [("blue", 0.99, list(BLUE_XYXY)), ("red", 0.99, list(RED_XYXY))]
    found = cv2.imread(str(tmp_path / "found.png"))
    for x1, y1, x2, y2 in (RED_XYXY, BLUE_XYXY):
        for x, y in ((x1, y2 - 20), (x2, y2 - 20), ((x1 + x2) // 2, y1)):  # on the left, right and upper line
            assert found[y, x].tolist() == [0, 255, 0]


SIZES = {"input size": (96, 64), "larger": (150, 90), "averaged": (700, 500), "wide": (700, 50), "tall": (60, 500)}


@pytest.mark.parametrize("size_wh", SIZES.values(), ids=SIZES)
def test_finds_what_detector_finds(tmp_path: Path, size_wh: tuple[int, int]):
    """Blurred noise of many colours gives boxes everywhere, overlapping and over the border."""
    rng = np.random.default_rng(0)
    noise = rng.choice([0, 255], (5, 8, 3)).astype(np.uint8)
    image = cv2.resize(noise, size_wh, interpolation=cv2.INTER_NEAREST)
    fine = rng.integers(-40, 41, image.shape)  # gone where pixels are averaged
    image = np.clip(image + fine, 0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    done = run(tmp_path, DETECTOR, "a.png", "found.png")
    detector = Detector(DETECTOR, score_threshold=0.3, nms_threshold=0.4)
    expected = sorted((one.label, one.score, one.box_xyxy) for one in detector(image))
    found = printed(done.stdout)
    assert len(found) == len(expected) > 1
    for (label, score, box_xyxy), (true_label, true_score, true_box_xyxy) in zip(found, expected):
        assert label == true_label and score == pytest.approx(true_score, abs=0.006)
        assert box_xyxy == pytest.approx(true_box_xyxy, abs=0.51)


def test_nothing_to_find(tmp_path: Path):
    grey = np.full((50, 70, 3), 120, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    done = run(tmp_path, DETECTOR, "a.png", "found.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "found.png")), grey)


BAD = {
    "no arguments": ([], "usage: "),
    "model missing": (["no.onnx", "a.png", "o.png"], "no.onnx"),
    "another head": (["other.onnx", "a.png", "o.png"], "other.onnx: has no output boxes_xyxy"),
    "spec missing": (["alone.onnx", "a.png", "o.png"], "alone.json"),
    "image missing": ([DETECTOR, "no.png", "o.png"], "no.png"),
    "not an image": ([DETECTOR, "text.png", "o.png"], "text.png: not an image"),
    "empty image": ([DETECTOR, "empty.png", "o.png"], "empty.png: not an image"),
    "out in no folder": ([DETECTOR, "a.png", "nowhere/o.png"], "nowhere/o.png: cannot be written"),
    "out of no kind": ([DETECTOR, "a.png", "o.xyz"], "could not find a writer"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str | Path], said: str):
    cv2.imwrite(str(tmp_path / "a.png"), red_and_blue_picture())
    shutil.copy(DETECTOR, tmp_path / "alone.onnx")
    embedded = files("sqdet_cv") / "models" / "sqdet_voc.sqdet"
    assert sqdet(["unpack", str(embedded), "--out", str(tmp_path / "other.onnx")]) == 0
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    done = run(tmp_path, *arguments)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr
    assert not (tmp_path / "o.png").exists()
