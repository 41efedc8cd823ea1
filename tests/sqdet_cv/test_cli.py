"""`sqdet detect` as a user meets it: lines, files, exit codes; with a detector that always finds the same."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detections, SqdetError, cli
from sqdet_cv.outputs import VideoFile, plan_outputs
from sqdet_cv.sources import Source, find_sources
from sqdet_cv.window import require_display

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 180  # only a hang lasts so long, even on a machine that trains beside the tests


class FakeDetector:
    """Two cats and a dog in every picture."""

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
from sqdet_cv import Detections, cli, detect_command

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
    monkeypatch.setattr("sqdet_cv.detect_command.Detector", FakeDetector)
    monkeypatch.chdir(tmp_path)


def save_picture(name, width=80, height=60, value=90):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes())
    return name


def save_video(name, frames=12):
    with VideoFile(Path(name).with_suffix(""), 20.0) as video:
        for number in range(frames):
            video.write(np.full((48, 64, 3), number * 5 % 256, np.uint8))
    return str(video.path)


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


# -- lines ----------------------------------------------------------------------------------------------------------


def test_one_line_a_picture(capsys):
    assert detect(save_picture("cat.png"), save_picture("sub/dog.png")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "cat.png: 2 cat 0.91, 1 dog 0.80",
        "sub/dog.png: 2 cat 0.91, 1 dog 0.80",
    ]
    assert all(line.endswith(" ms)") for line in lines)


def test_a_picture_without_objects(capsys, monkeypatch):
    monkeypatch.setattr(FakeDetector, "__call__", lambda self, image_bgr: Detections([], [], [], ()))
    assert detect(save_picture("a.png")) == 0
    assert capsys.readouterr().out.startswith("a.png: nothing (")


def test_video_has_one_line(capsys):
    path = save_video("clip.mp4")
    assert detect(path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}: 12 frames at ") and line.endswith(" fps; cat in 12, dog in 12")


def test_quiet_prints_nothing(capsys):
    assert detect(save_picture("a.png"), save_video("clip.mp4"), "--quiet", "--out", "out") == 0
    assert capsys.readouterr() == ("", "")


def test_options_reach_the_detector(monkeypatch):
    seen = {}

    class Recording(FakeDetector):
        def __init__(self, model=None, **options):
            seen.update(options, model=model)

    monkeypatch.setattr("sqdet_cv.detect_command.Detector", Recording)
    detect(save_picture("a.png"), "--score", 0.7, "--nms", 0.2, "--backend", "opencv", "--model", "m.onnx")
    assert seen == {"model": Path("m.onnx"), "score_threshold": 0.7, "nms_threshold": 0.2, "backend": "opencv"}


def test_a_name_the_terminal_cannot_print_is_no_error():
    save_picture("котик.png")
    process = start("котик.png", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("\\u043a")


def test_closed_pipe_is_no_traceback():
    for number in range(4):
        save_picture(f"many/{number}.png")
    process = start("many")
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=TIMEOUT_S), err) == (141, "")
    process.stderr.close()


def test_progress_of_a_video_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sqdet_cv.detect_command.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert detect(save_video("clip.mp4")) == 0
    out, err = capsys.readouterr()
    steps = err.split("\r")
    assert len(out.splitlines()) == 1 and "\n" not in err
    assert steps[1].startswith("clip.mp4: frame 1/12, ") and steps[12].startswith("clip.mp4: frame 12/12, ")
    assert steps[13].strip() == ""  # wiped before the summary


# -- pictures and videos that are written ---------------------------------------------------------------------------


def test_out_keeps_sub_folders_and_draws():
    save_picture("photos/a.png")
    save_picture("photos/sub/a.png")
    assert detect("photos", "--out", "out") == 0
    assert all_files("out") == ["a.png", "sub/a.png"]
    drawn = cv2.imread("out/sub/a.png")
    assert drawn.shape == (60, 80, 3) and (drawn != 90).any()
    assert (cv2.imread("photos/a.png") == 90).all()


def test_names_that_meet_are_numbered():
    arguments = [save_picture("one/a.png"), save_picture("two/a.png"), save_picture("three/A.png")]
    assert detect(*arguments, "--out", "out") == 0
    assert all_files("out") == ["A-3.png", "a-2.png", "a.png"]


def test_videos_that_differ_only_in_suffix_do_not_meet():
    planned = plan_outputs(
        [Source("x/clip.mp4", "clip.mp4", False), Source("x/clip.avi", "clip.avi", False)], Path("o")
    )
    assert planned == [Path("o/clip"), Path("o/clip-2")]


def test_a_format_that_opencv_does_not_always_write_becomes_png():
    Path("a.ppm").write_bytes(cv2.imencode(".ppm", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    assert detect("a.ppm", "--out", "out") == 0
    assert all_files("out") == ["a.png"]


@pytest.mark.parametrize("make", [save_picture, save_video])
def test_sources_are_never_overwritten(capsys, make):
    path = make("photos/a.png" if make is save_picture else "photos/a.mp4")
    before = Path(path).read_bytes()
    assert detect("photos", "--out", "photos") == 2
    assert Path(path).read_bytes() == before
    assert "would overwrite a source" in capsys.readouterr().err


def test_video_is_written_with_every_frame(capsys):
    assert detect(save_video("clip.mp4"), "--out", "out") == 0
    (name,) = all_files("out")
    assert count_frames(f"out/{name}") == 12
    assert capsys.readouterr().out.rstrip().endswith(f"-> {Path('out') / name}")


def test_video_whose_size_changes_keeps_its_frames():
    with VideoFile(Path("v"), None) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
        video.write(np.zeros((96, 64, 3), np.uint8))
    assert count_frames(video.path) == 2


def test_video_that_fails_leaves_no_file():
    with pytest.raises(RuntimeError), VideoFile(Path("v"), 25.0) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
        raise RuntimeError
    assert all_files() == []


def test_video_falls_back_when_mp4_cannot_be_written(monkeypatch):
    monkeypatch.setattr("sqdet_cv.outputs.VIDEO_CODECS", ((".mp4", "zzzz"), (".avi", "MJPG")))
    real = cv2.VideoWriter
    refuse = lambda path, *rest: real() if path.endswith(".mp4") else real(path, *rest)  # noqa: E731
    monkeypatch.setattr("sqdet_cv.outputs.cv2.VideoWriter", refuse)
    with VideoFile(Path("v"), 25.0) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
    assert all_files() == ["v.avi"] and count_frames("v.avi") == 1


def test_huge_picture():
    assert detect(save_picture("huge.png", 6000, 4000), "--out", "out") == 0
    assert cv2.imread("out/huge.png").shape == (4000, 6000, 3)


# -- JSON and CSV ---------------------------------------------------------------------------------------------------


def test_json_of_pictures_and_videos():
    name = save_picture("котик 猫.png")
    video = save_video("clip.mp4", frames=3)
    assert detect(name, video, "--json", "deep/found.json") == 0
    entries = json.loads(Path("deep/found.json").read_text(encoding="utf-8"))
    assert [(entry["source"], entry["frame"]) for entry in entries] == [(name, 0), (video, 0), (video, 1), (video, 2)]
    assert entries[0] == {
        "source": name,
        "frame": 0,
        "width": 80,
        "height": 60,
        "detections": [
            {"label": "cat", "class_id": 7, "score": 0.91, "box_xyxy": [1.0, 2.0, 79.0, 57.5]},
            {"label": "dog", "class_id": 11, "score": 0.8, "box_xyxy": [0.0, 0.0, 9.0, 9.0]},
            {"label": "cat", "class_id": 7, "score": 0.4, "box_xyxy": [3.0, 3.0, 8.0, 8.0]},
        ],
    }


def test_csv_of_a_picture():
    name = save_picture("a, b котик.png")
    assert detect(name, "--csv", "found.csv") == 0
    with open("found.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[0] == {
        "source": name,
        "frame": "0",
        "label": "cat",
        "class_id": "7",
        "score": "0.91",
        "x1": "1.0",
        "y1": "2.0",
        "x2": "79.0",
        "y2": "57.5",
    }


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_machines_on_stdout_send_people_to_stderr(capsys, option):
    assert detect(save_picture("a.png"), option, "-") == 0
    out, err = capsys.readouterr()
    assert err.startswith("a.png: 2 cat")
    assert len(json.loads(out)) == 1 if option == "--json" else len(out.splitlines()) == 4


def test_json_is_valid_when_nothing_could_be_read():
    Path("bad").mkdir()
    Path("bad/a.png").write_bytes(b"\x89PNG damaged")
    assert detect("bad", "--json", "found.json") == 2
    assert json.loads(Path("found.json").read_text()) == []


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["good.png", "missing.jpg"], "missing.jpg"),
        (["good.png", "*.webp"], "*.webp"),
        (["good.png", "empty.png"], "empty.png"),
        (["good.png", "notes.txt"], "notes.txt"),
        (["good.png", "--json", "-", "--csv", "-"], "--json"),
        (["good.png", "--out", "good.png"], "good.png"),
        (["good.png", "--json", "good.png/found.json"], "good.png"),
    ],
)
def test_what_can_be_known_is_said_before_any_work(capsys, arguments, named):
    save_picture("good.png")
    Path("empty.png").touch()
    Path("notes.txt").write_text("hello")
    before = all_files()
    assert detect(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and named in err
    assert len(err.splitlines()) == 1 and "Traceback" not in err
    assert all_files() == before


@pytest.mark.parametrize("arguments", [["a.png", "--score", "much"], [], ["a.png", "--nonsense"]])
def test_a_wrong_command_line_is_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        detect(*arguments)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_bad_model_is_one_line(capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise SqdetError("m.onnx: no such\nmodel")

    monkeypatch.setattr("sqdet_cv.detect_command.Detector", refuse)
    assert detect(save_picture("a.png"), "--model", "m.onnx") == 2
    assert capsys.readouterr().err == "sqdet: m.onnx: no such model\n"


def test_a_damaged_picture_does_not_stop_the_others(capfd):
    save_picture("photos/a.png")
    Path("photos/b.png").write_bytes(Path("photos/a.png").read_bytes()[:60])
    Path("photos/c.png").touch()
    save_picture("photos/d.png")
    assert detect("photos", "--out", "out", "--json", "found.json") == 2
    out, err = capfd.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [str(Path("photos/a.png")), str(Path("photos/d.png"))]
    assert len(err.splitlines()) == 2 and "b.png" in err and "c.png" in err
    assert all_files("out") == ["a.png", "d.png"]
    assert len(json.loads(Path("found.json").read_text())) == 2


def test_a_damaged_video_prints_no_page_of_ffmpeg():
    data = bytearray(Path(save_video("clip.mp4", frames=60)).read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(200, len(data) // 2, 200):
        data[position] ^= 0xFF
    Path("clip.mp4").write_bytes(data)
    process = start("clip.mp4")
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert len((out + err).splitlines()) == 1, out + err


# -- Ctrl-C ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a single child")
def test_ctrl_c_finishes_what_was_written():
    path = save_video("clip.mp4", frames=400)
    process = start(path, "--out", "out", "--json", "found.json", "--csv", "found.csv")
    wait_for(Path("at-work").exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "Traceback" not in err and "interrupted" in err.splitlines()[-1]
    entries = json.loads(Path("found.json").read_text())
    assert 8 <= len(entries) < 400
    (name,) = all_files("out")  # no temporary file beside it
    assert count_frames(f"out/{name}") == len(entries)
    assert len(Path("found.csv").read_text().splitlines()) == len(entries) + 1
    assert out.startswith(f"{path}: {len(entries)} of 400 frames")


# -- window ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("display", [{"DISPLAY": ""}, {"DISPLAY": ":4321"}])
def test_show_without_a_display_is_one_line(display):
    process = start(save_picture("a.png"), "--show", WAYLAND_DISPLAY="", **display)
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
        save_picture(f"photos/{number}.png", 320, 240)
    process = start("photos", "--show", DISPLAY=xvfb)
    assert read_lines(process, 1)[0].startswith(str(Path("photos/0.png")))
    time.sleep(0.5)
    press(xvfb, "space")  # goes on to the second
    assert read_lines(process, 1)[0].startswith(str(Path("photos/1.png")))
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
