"""`sqdet detect --show`, on a virtual screen."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sqdet_cv.media.window import require_display

from .detect_runs import TIMEOUT_S, save_image, save_video, start, wait_for


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("display", [{"DISPLAY": ""}, {"DISPLAY": ":4321"}])
def test_show_without_a_display_is_one_line(display):
    process = start(save_image("a.png"), "--show", WAYLAND_DISPLAY="", **display)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1 and "no window" in err


@pytest.fixture
def xvfb():
    """A virtual screen, 1024 x 768; its DISPLAY."""
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        pytest.skip("needs Xvfb and xdotool (apt-get install xvfb xdotool)")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def press(display, key, window="sqdet"):
    """Presses a key as a person would, once the window is there."""
    environment = {**os.environ, "DISPLAY": display}
    command = ["xdotool", "search", "--sync", "--onlyvisible", "--name", f"^{window}$"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    window_id = found.stdout.split()[-1]
    subprocess.run(
        ["xdotool", "windowfocus", "--sync", window_id, "key", key], env=environment, timeout=TIMEOUT_S, check=True
    )


def read_lines(process, count):
    return [process.stdout.readline() for _ in range(count)]


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_keys_go_on_and_quit(xvfb, key):
    for number in range(3):
        save_image(f"images/{number}.png", 320, 240)
    process = start("images", "--show", DISPLAY=xvfb)
    assert read_lines(process, 1)[0].startswith(str(Path("images/0.png")))
    time.sleep(0.5)
    press(xvfb, "space")  # goes on to the second
    assert read_lines(process, 1)[0].startswith(str(Path("images/1.png")))
    time.sleep(0.5)
    assert process.poll() is None
    press(xvfb, key)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_quit_during_a_video(xvfb):
    path = save_video("clip.mp4", frames=2000)
    process = start(path, "--show", DISPLAY=xvfb)
    wait_for(Path("at-work").exists)
    press(xvfb, "q")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert " of 2000 frames" in out


def test_a_real_display_is_accepted(xvfb, monkeypatch):
    monkeypatch.setenv("DISPLAY", xvfb)
    require_display()
