"""What a key and a closed window are taken for; OpenCV's window is a fake."""

from __future__ import annotations

import cv2
import pytest

from sqdet_cv.media import window as module
from sqdet_cv.media.window import QUIT_KEYS, Window


@pytest.fixture
def window(monkeypatch) -> Window:
    monkeypatch.setattr(module, "require_display", lambda: None)
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    return Window("found")


@pytest.mark.parametrize(
    ("code", "quits"),
    [(ord("q"), True), (0x100071, True), (27, True), (0xFF51, False), (0xFF1B, False), (ord(" "), False)],
    ids=["q", "q with Num Lock", "Esc", "left arrow", "another function key", "space"],
)
def test_only_q_and_esc_quit(window, monkeypatch, code, quits):
    monkeypatch.setattr(cv2, "waitKeyEx", lambda _: code)
    key = window.poll(1)
    assert key is not None and (key in QUIT_KEYS) == quits


def test_no_key_is_none(window, monkeypatch):
    monkeypatch.setattr(cv2, "waitKeyEx", lambda _: -1)
    assert window.poll(1) is None


def test_a_closed_window_counts_as_q(window, monkeypatch):
    """Qt raises where the last window is gone, GTK says that none is visible."""

    def gone(*_: object) -> float:
        raise cv2.error("NULL window")

    monkeypatch.setattr(cv2, "waitKeyEx", lambda _: -1)
    for answer in (gone, lambda *_: 0.0):
        monkeypatch.setattr(cv2, "getWindowProperty", answer)
        assert window.poll(1) == ord("q")
