"""Cameras and streams: the newest frame, the end, a stall, and a second connection."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from sqdet_cv.detections import Detections
from sqdet_cv.errors import SourceError
from sqdet_cv.media import sources
from sqdet_cv.media.find import find_sources
from sqdet_cv.media.pipeline import detect_sources

REAL_CAPTURE = cv2.VideoCapture


class FakeCapture:
    """A camera that gives a frame every `period` seconds, `frames` of them; then it ends, or hangs."""

    def __init__(self, frames: int, period: float, then: str = "end") -> None:
        self.left, self.period, self.then, self.number = frames, period, then, 0
        self.released, self.go_on = threading.Event(), threading.Event()

    def isOpened(self) -> bool:
        return self.left > 0

    def get(self, which: int) -> float:
        return 30.0 if which == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.left:
            if self.then == "hang":
                self.go_on.wait()
            return False, None
        time.sleep(self.period)
        self.left -= 1
        self.number += 1
        return True, np.full((4, 4, 3), self.number, np.uint8)

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def connect(monkeypatch):
    """connect(capture, ...): each opening of the camera gives the next of them."""

    def give(*captures: FakeCapture) -> sources.Source:
        waiting = iter(captures)
        monkeypatch.setattr(
            cv2, "VideoCapture", lambda address, *_: next(waiting) if address == 0 else REAL_CAPTURE(address)
        )
        return find_sources(["0"])[0]

    return give


def test_a_slow_reader_gets_the_newest_frame_and_the_number_of_those_passed_over(connect):
    capture = FakeCapture(30, 0.01)
    ages, skipped, seen = [], 0, []
    for frame in connect(capture).frames():
        ages.append(capture.number - int(frame.image_bgr[0, 0, 0]))
        skipped += frame.skipped
        seen.append(frame.index)
        time.sleep(0.05)
    assert max(ages) <= 1  # one may come while this one is looked at
    assert 3 <= len(seen) < 15
    assert len(seen) + skipped == 30 == seen[-1] + 1
    assert capture.released.wait(5)


def test_times_are_those_of_the_clock(connect):
    seconds = [frame.seconds for frame in connect(FakeCapture(5, 0.02)).frames()]
    assert seconds[0] == 0 and seconds == sorted(seconds)
    assert seconds[-1] >= 0.06


def test_a_stall_is_an_error_and_waits_for_nobody(connect, monkeypatch):
    monkeypatch.setattr(sources, "STALL_SECONDS", 0.3)
    capture = FakeCapture(2, 0.01, "hang")
    seen, start = [], time.monotonic()
    with pytest.raises(SourceError, match="camera 0: stalled: no frame for 0.3 s"):
        for frame in connect(capture).frames():
            seen.append(frame.index)
    assert seen and time.monotonic() - start < 5
    assert not capture.released.is_set()  # its thread hangs in it
    capture.go_on.set()
    assert capture.released.wait(5)


@pytest.mark.parametrize("frames", [0, 3], ids=["does not open", "ends"])
def test_it_is_opened_again(connect, frames):
    captures = [FakeCapture(3, 0.01), FakeCapture(frames, 0.01), FakeCapture(3, 0.01)]
    seen = []
    for frame in connect(*captures).frames(reconnect=0.05, stop=lambda: len(seen) > 20):
        seen.append(frame)
        if captures[2].number:
            break
    assert captures[2].number
    assert [frame.index for frame in seen] == sorted({frame.index for frame in seen})


def test_stop_ends_the_wait_for_a_frame_and_for_a_connection(connect):
    end = time.monotonic() + 0.3
    stop = lambda: time.monotonic() > end  # noqa: E731
    capture = FakeCapture(1, 0.01, "hang")
    assert len(list(connect(capture, FakeCapture(0, 0)).frames(reconnect=60.0, stop=stop))) == 1
    capture.go_on.set()
    end = time.monotonic() + 0.3
    assert len(list(connect(FakeCapture(1, 0.01)).frames(reconnect=60.0, stop=stop))) == 1


def test_a_recording_plays_as_long_as_it_took(connect, tmp_path):
    """A camera that says 30 frames a second and gives 10, for a second."""

    def find_nothing(image_bgr: np.ndarray) -> Detections:
        return Detections(np.zeros((0, 4)), [], [], ())

    camera = connect(FakeCapture(11, 0.1))
    (result,) = detect_sources(find_nothing, [camera], [tmp_path / "camera"])
    video = REAL_CAPTURE(str(result.path))
    assert 0.8 < video.get(cv2.CAP_PROP_FRAME_COUNT) / video.get(cv2.CAP_PROP_FPS) < 1.6
