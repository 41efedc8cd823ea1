"""Taking what OpenCV writes to the process's own stdout and stderr."""

import ctypes
import os
import sys

import cv2
import pytest

from sqdet_cv.dnn.log_capture import captured_log
from sqdet_cv.util.log_level import quiet_opencv


def test_takes_lines_of_c_and_gives_the_descriptors_back(capfd):
    print("before")
    with captured_log() as lines:
        os.write(1, b"[ INFO:0@0.1] to stdout\n")
        os.write(2, b"[ WARN:0@0.1] to stderr\n")
        if sys.platform != "win32":
            ctypes.CDLL(None).puts(b"through C's buffer")
        assert lines == []
    print("after")
    assert lines == ["[ INFO:0@0.1] to stdout", "[ WARN:0@0.1] to stderr", "through C's buffer"][: len(lines)]
    assert len(lines) == (2 if sys.platform == "win32" else 3)
    os.write(1, b"later\n")
    assert capfd.readouterr() == ("before\nafter\nlater\n", "")


def test_an_error_within_passes_and_keeps_the_lines(capfd):
    with pytest.raises(ValueError, match="within"), captured_log() as lines:
        os.write(1, b"said\n")
        raise ValueError("within")
    os.write(2, b"free\n")
    assert lines == [] and capfd.readouterr() == ("", "free\n")


def test_the_log_level_is_put_back():
    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    with quiet_opencv():
        assert log.getLogLevel() == 0
        with captured_log():
            assert log.getLogLevel() == 4
        assert log.getLogLevel() == 0
    assert log.getLogLevel() == before
