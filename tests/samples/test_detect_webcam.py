"""The webcam sample without a webcam: videos, images, errors."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detections
from sqdet_cv.media.find import find_sources
from sqdet_cv.media.writers import VideoFile

SAMPLE = Path(__file__).parents[2] / "samples" / "detect_webcam.py"


class FakeDetector:
    def __init__(self, model=None, **options):
        self.options = options

    def __call__(self, image_bgr):
        return Detections([[10, 20, 60, 70]], [7], [0.9], ("cat",))


@pytest.fixture
def sample(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("detect_webcam", SAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "Detector", FakeDetector)
    monkeypatch.chdir(tmp_path)
    return module


def test_saves_a_video_without_a_window(sample, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with VideoFile(Path("clip"), 20.0) as video:
        for _ in range(15):
            video.write(np.full((96, 128, 3), 90, np.uint8))
    assert sample.main(["--source", str(video.path), "--save", "out/found.mp4"]) == 0
    (written,) = Path("out").iterdir()
    frames = [frame.image_bgr for source in find_sources([str(written)]) for frame in source.frames()]
    assert len(frames) == 15
    assert abs(frames[5].astype(int) - 90).max() > 60  # the box and the frame rate are drawn


def test_saves_an_image(sample):
    cv2.imwrite("a.png", np.full((96, 128, 3), 90, np.uint8))
    assert sample.main(["--source", "a.png", "--save", "found.png"]) == 0
    assert (cv2.imread("found.png") != 90).any()


@pytest.mark.parametrize("source", ["missing.mp4", "97"])
def test_a_bad_source_is_one_line(sample, capfd, source):
    assert sample.main(["--source", source, "--save", "found.mp4"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and source in err
    assert not Path("found.mp4").exists()


def test_a_video_of_another_kind_is_refused_before_any_work(sample, capfd):
    with VideoFile(Path("clip"), 20.0) as video:
        video.write(np.full((96, 128, 3), 90, np.uint8))
    assert sample.main(["--source", str(video.path), "--save", "found.avi"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "--save found.avi" in line and ".mp4" in line
    assert not list(Path(".").glob("found*"))


def test_no_display_is_one_line(sample, monkeypatch, capfd):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    cv2.imwrite("a.png", np.full((96, 128, 3), 90, np.uint8))
    assert sample.main(["--source", "a.png"]) == 2
    assert "no window" in capfd.readouterr().err
