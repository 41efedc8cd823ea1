"""`sqdet detect` as a user meets it: lines, errors, exit codes, Ctrl-C."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from sqdet_cv import Detections, SqdetError

from .detect_runs import (
    SLOW_PROGRAM,
    TIMEOUT_S,
    FakeDetector,
    all_files,
    count_frames,
    detect,
    save_image,
    save_video,
    start,
    wait_for,
)

# -- lines ----------------------------------------------------------------------------------------------------------


def test_one_line_an_image(capsys):
    assert detect(save_image("cat.png"), save_image("sub/dog.png")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["cat.png", "sub/dog.png"]
    assert all(part in line for line in lines for part in ("2 cat 0.91", "1 dog 0.80", " ms"))


def test_an_image_without_objects(capsys, monkeypatch):
    monkeypatch.setattr(FakeDetector, "__call__", lambda self, image_bgr: Detections([], [], [], ()))
    assert detect(save_image("a.png")) == 0
    assert capsys.readouterr().out.startswith("a.png: nothing (")


def test_video_has_one_line(capsys):
    path = save_video("clip.mp4")
    assert detect(path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert all(part in line for part in (f"{path}: 12 frames", "fps", "cat in 12", "dog in 12"))


def test_quiet_prints_nothing(capsys):
    assert detect(save_image("a.png"), save_video("clip.mp4"), "--quiet", "--out", "out") == 0
    assert capsys.readouterr() == ("", "")


def test_options_reach_the_detector(monkeypatch):
    seen = {}

    class Recording(FakeDetector):
        def __init__(self, model=None, **options):
            seen.update(options, model=model)

    monkeypatch.setattr("sqdet_cv.cli.detect.Detector", Recording)
    detect(save_image("a.png"), "--score", 0.7, "--nms", 0.2, "--backend", "opencv", "--model", "m.onnx")
    assert seen == {"model": Path("m.onnx"), "score_threshold": 0.7, "nms_threshold": 0.2, "backend": "opencv"}


def test_a_name_the_terminal_cannot_print_is_no_error():
    save_image("котик.png")
    process = start("котик.png", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("\\u043a")


def test_closed_pipe_is_no_traceback():
    for number in range(4):
        save_image(f"many/{number}.png")
    process = start("many")
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=TIMEOUT_S), err) == (141, "")
    process.stderr.close()


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_reader_that_goes_away_ends_the_job_with_whole_files(option):
    path = save_video("clip.mp4", frames=400)
    process = start(path, "--out", "out", option, "-", "--csv" if option == "--json" else "--json", "found")
    wait_for(Path("at-work").exists)
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=TIMEOUT_S), "Traceback" in err) == (141, False)
    process.stderr.close()
    (name,) = all_files("out")
    assert 8 <= count_frames(f"out/{name}") < 400
    assert Path("found").stat().st_size > 100


@pytest.mark.slow
def test_a_job_that_is_killed_goes_on(tmp_path):
    """Killed three times in 200 images; in the end each has one line, and what was killed in a line has one too."""
    for number in range(200):
        save_image(f"many/{number:03}.png", 16, 12)
    program = SLOW_PROGRAM.replace("time.sleep(0.03)", "time.sleep(0.005)")
    for _ in range(3):
        before = Path("found.jsonl").stat().st_size if Path("found.jsonl").exists() else 0
        process = start("many", "--jsonl", "found.jsonl", "--resume", program=program)
        wait_for(lambda: Path("found.jsonl").exists() and Path("found.jsonl").stat().st_size > before + 3000)  # noqa: B023
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
        with open("found.jsonl", "ab") as file:
            file.write(b'{"source": "many/1')  # as where a kill cuts a line
    assert detect("many", "--jsonl", "found.jsonl", "--resume") == 0
    lines = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [str(Path(f"many/{number:03}.png")) for number in range(200)]
    assert detect("many", "--jsonl", "found.jsonl", "--resume") == 0
    assert len(Path("found.jsonl").read_text().splitlines()) == 200


def test_a_video_that_was_killed_begins_anew():
    video, image = save_video("clip.mp4", frames=5), save_image("z.png")
    assert detect(video, "--jsonl", "found.jsonl") == 0
    assert detect(image, video, "--jsonl", "found.jsonl", "--resume") == 0
    lines = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [image, *[video] * 5]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--resume"], "--resume"),
        (["--resume", "--jsonl", "f", "--json", "g"], "--resume"),
        (["--jsonl", "other", "--resume"], "other: line 1"),
        (["--jsonl", "f", "--csv", "f"], "--jsonl"),
        (["--jsonl", ""], "--jsonl"),
    ],
)
def test_what_cannot_be_resumed_is_said(capsys, options, named):
    Path("other").write_text("hello\n")
    assert detect(save_image("a.png"), *options) == 2
    assert named in capsys.readouterr().err and Path("other").read_text() == "hello\n"


def test_progress_of_a_video_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sqdet_cv.cli.detect.PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert detect(save_video("clip.mp4")) == 0
    out, err = capsys.readouterr()
    steps = err.split("\r")
    assert len(out.splitlines()) == 1 and "\n" not in err
    assert steps[1].startswith("clip.mp4: frame 1/12, ") and steps[12].startswith("clip.mp4: frame 12/12, ")
    assert steps[13].strip() == ""  # wiped before the summary


# -- bad input ------------------------------------------------------------------------------------------------------


def test_two_outputs_of_one_name_are_refused(capsys):
    Path("link.json").symlink_to("found.json")
    for other in ("found.json", "./found.json", "link.json"):
        assert detect(save_image("a.png"), "--json", "found.json", "--csv", other) == 2
    assert not Path("found.json").exists()


def test_an_empty_folder_name_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        detect(save_image("a.png"), "--out", "")
    assert "--out" in capsys.readouterr().err and all_files() == ["a.png"]


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
    save_image("good.png")
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

    monkeypatch.setattr("sqdet_cv.cli.detect.Detector", refuse)
    assert detect(save_image("a.png"), "--model", "m.onnx") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sqdet: ") and line.endswith("m.onnx: no such model")


def test_a_damaged_image_does_not_stop_the_others(capfd):
    save_image("images/a.png")
    Path("images/b.png").write_bytes(Path("images/a.png").read_bytes()[:60])
    Path("images/c.png").touch()
    save_image("images/d.png")
    assert detect("images", "--out", "out", "--json", "found.json") == 2
    out, err = capfd.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [str(Path("images/a.png")), str(Path("images/d.png"))]
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
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_finishes_what_was_written(number, code):
    path = save_video("clip.mp4", frames=400)
    process = start(path, "--out", "out", "--json", "found.json", "--csv", "found.csv")
    wait_for(Path("at-work").exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code
    assert "Traceback" not in err and "interrupted" in err.splitlines()[-1]
    entries = json.loads(Path("found.json").read_text())
    assert 8 <= len(entries) < 400
    (name,) = all_files("out")  # no temporary file beside it
    assert count_frames(f"out/{name}") == len(entries)
    assert len(Path("found.csv").read_text().splitlines()) == len(entries) + 1
    assert f"{path}: {len(entries)} of 400" in out
