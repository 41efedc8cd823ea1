from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from export.__main__ import main
from sqdet_cv import Detector
from sqdet_cv.boxes.postprocess import SCORE_THRESHOLD
from sqdet_cv.media.sources import read_image
from tests.released import MODEL, PHOTOS
from tests.same_detections import as_rows, assert_same_detections

needs_caffe = pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 reads no Caffe files")


@pytest.mark.slow
@needs_caffe
def test_all_files_detect_what_the_released_one_does(tmp_path: Path):
    assert main(["release", str(MODEL), "--out", str(tmp_path / "voc")]) == 0
    suffixes = [".caffemodel", ".json", ".onnx", ".prototxt", ".sqdet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"voc{suffix}" for suffix in suffixes]
    assert (tmp_path / "voc.sqdet").read_bytes() == MODEL.read_bytes()
    picture = read_image(PHOTOS[0])
    expected = Detector()(picture)
    assert len(expected)
    for suffix in (".onnx", ".sqdet", ".caffemodel"):
        found = Detector(tmp_path / f"voc{suffix}")(picture)
        margins = {"score_margin": 1e-4, "box_margin": 0.05, "score_threshold": SCORE_THRESHOLD}
        assert_same_detections(as_rows(found), as_rows(expected), **margins)


def test_without_a_caffe_importer_the_others_are_written(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe", raising=False)
    assert main(["release", str(MODEL), "--out", str(tmp_path / "voc")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc.json", "voc.onnx", "voc.sqdet"]
    assert f"{tmp_path / 'voc'}.caffemodel: not written: OpenCV {cv2.__version__} has no" in capsys.readouterr().out


BAD = {
    "an ending": (["x.pt", "--out", "a.onnx"], "--out a.onnx: expected a name without an ending"),
    "no file": (["/nowhere.sqdet", "--out", "a"], "/nowhere.sqdet: no such model file"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(words: list[str], message: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["release", *words]) == 2
    assert capsys.readouterr().err.strip() == f"error: {message}"
    assert not list(tmp_path.iterdir())
