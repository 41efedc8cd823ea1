"""`sqdet detect` with a detector that always finds the same, in this process or in one of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detections
from sqdet_cv.cli import main as cli
from sqdet_cv.media.find import find_sources
from sqdet_cv.media.writers import VideoFile

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 180  # only a hang lasts so long, even on a machine that trains beside the tests


class FakeDetector:
    """Two cats and a dog in every image."""

    def __init__(self, model=None, **options):
        self.options = options

    def __call__(self, image_bgr):
        height, width = image_bgr.shape[:2]
        boxes = [[1, 2, width - 1, height - 2.5], [0, 0, 9, 9], [3, 3, 8, 8]]
        return Detections(boxes, [7, 11, 7], [0.91, 0.8, 0.4], ("cat", "dog", "cat"))


# The same in a process of its own: slow, and telling by a file that it is at work.
SLOW_PROGRAM = """
import sys, time
from pathlib import Path
from sqdet_cv import Detections
from sqdet_cv.cli import detect as detect_command
from sqdet_cv.cli import main as cli

class Slow:
    def __init__(self, model=None, **options):
        self.calls = 0
    def __call__(self, image_bgr):
        self.calls += 1
        time.sleep(0.03)
        if self.calls == 8:
            Path("at-work").touch()
        return Detections([[1, 2, 30, 40]], [7], [0.9], ("cat",))

detect_command.Detector = Slow
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def fake_detector(monkeypatch, tmp_path):
    monkeypatch.setattr("sqdet_cv.cli.detect.Detector", FakeDetector)
    monkeypatch.chdir(tmp_path)


def save_image(name, width=80, height=60, value=90):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes())
    return name


def save_video(name, frames=12):
    with VideoFile(Path(name).with_suffix(""), 20.0) as video:
        for number in range(frames):
            video.write(np.full((48, 64, 3), number * 5 % 256, np.uint8))
    return str(video.path)


def save_mjpg(name, frames, size_wh=(64, 48)):
    """A Motion JPEG: each frame is a JPEG of its own, and can be damaged alone."""
    writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*"MJPG"), 10.0, size_wh)
    for number in range(frames):
        writer.write(np.full((size_wh[1], size_wh[0], 3), number * 20 % 256, np.uint8))
    writer.release()
    return name


def damage_frame(name, number):
    """Fills a frame of an AVI with zeros."""
    data = bytearray(Path(name).read_bytes())
    start = data.index(b"movi")
    for _ in range(number + 1):
        start = data.index(b"00dc", start) + 8  # a chunk's name and length
    length = int.from_bytes(data[start - 4 : start], "little")
    data[start : start + length] = bytes(length)
    Path(name).write_bytes(data)


def count_frames(path):
    return sum(1 for source in find_sources([str(path)]) for _ in source.frames())


def detect(*arguments):
    return cli.main(["detect", *map(str, arguments)])


def all_files(folder="."):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def start(*arguments, program=SLOW_PROGRAM, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", program, "detect", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def wait_for(condition, seconds=TIMEOUT_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
