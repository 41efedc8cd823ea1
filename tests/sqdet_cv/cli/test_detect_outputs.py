"""The files that `sqdet detect` writes: images, videos, JSON, CSV."""

import csv
import io
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv.media.sources import Source
from sqdet_cv.media.writers import VideoFile, plan_outputs

from .detect_runs import all_files, count_frames, damage_frame, detect, save_image, save_mjpg, save_video

# -- images and videos that are written ---------------------------------------------------------------------------


def test_out_keeps_sub_folders_and_draws():
    save_image("images/a.png")
    save_image("images/sub/a.png")
    assert detect("images", "--out", "out") == 0
    assert all_files("out") == ["a.png", "sub/a.png"]
    drawn = cv2.imread("out/sub/a.png")
    assert drawn.shape == (60, 80, 3) and (drawn != 90).any()
    assert (cv2.imread("images/a.png") == 90).all()


def test_names_that_meet_are_numbered():
    arguments = [save_image("one/a.png"), save_image("two/a.png"), save_image("three/A.png")]
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


@pytest.mark.parametrize("make", [save_image, save_video])
def test_sources_are_never_overwritten(capsys, make):
    path = make("images/a.png" if make is save_image else "images/a.mp4")
    before = Path(path).read_bytes()
    assert detect("images", "--out", "images") == 2
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
    monkeypatch.setattr("sqdet_cv.media.writers.VIDEO_CODECS", ((".mp4", "zzzz"), (".avi", "MJPG")))
    real = cv2.VideoWriter
    refuse = lambda path, *rest: real() if path.endswith(".mp4") else real(path, *rest)  # noqa: E731
    monkeypatch.setattr("sqdet_cv.media.writers.cv2.VideoWriter", refuse)
    with VideoFile(Path("v"), 25.0) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
    assert all_files() == ["v.avi"] and count_frames("v.avi") == 1


def test_huge_image():
    assert detect(save_image("huge.png", 6000, 4000), "--out", "out") == 0
    assert cv2.imread("out/huge.png").shape == (4000, 6000, 3)


# -- JSON and CSV ---------------------------------------------------------------------------------------------------


def test_json_of_images_and_videos():
    name = save_image("котик 猫.png")
    video = save_video("clip.mp4", frames=3)
    assert detect(name, video, "--json", "deep/found.json") == 0
    entries = json.loads(Path("deep/found.json").read_text(encoding="utf-8"))
    assert [(entry["source"], entry["frame"]) for entry in entries] == [(name, 0), (video, 0), (video, 1), (video, 2)]
    assert entries[0] == {
        "source": name,
        "frame": 0,
        "seconds": 0.0,
        "width": 80,
        "height": 60,
        "detections": [
            {"label": "cat", "class_id": 7, "score": 0.91, "box_xyxy": [1.0, 2.0, 79.0, 57.5]},
            {"label": "dog", "class_id": 11, "score": 0.8, "box_xyxy": [0.0, 0.0, 9.0, 9.0]},
            {"label": "cat", "class_id": 7, "score": 0.4, "box_xyxy": [3.0, 3.0, 8.0, 8.0]},
        ],
    }


def test_a_damaged_frame_costs_itself_alone(capsys):
    damage_frame(save_mjpg("clip.avi", frames=12), 5)
    assert detect("clip.avi", "--json", "found.json") == 2
    frames = [entry["frame"] for entry in json.loads(Path("found.json").read_text())]
    assert frames == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert "11 of 12 frames" in (out := capsys.readouterr().out) and "1 damaged" in out


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(capsys):
    """OpenCV's binding ends the process at them: images are read by Python, videos are refused, the others are done."""
    for name in ("k\udcf6ter.png", "k\udcf6ter.unknown"):
        Path(save_image("images/a.png")).rename(f"images/{name}")
    Path(save_mjpg("clip.avi", frames=2)).rename("images/k\udcf6ter.avi")
    save_image("images/z.png")
    assert detect("images", "images/k\udcf6ter.unknown", "--out", "o\udcf6", "--json", "found.json") == 2
    assert [entry["source"] for entry in json.loads(Path("found.json").read_text())] == [
        "images/k\udcf6ter.png",
        "images/z.png",
        "images/k\udcf6ter.unknown",
    ]
    (error,) = capsys.readouterr().err.splitlines()
    assert "ter.avi" in error and "UTF-8" in error
    assert detect(save_mjpg("clip.avi", frames=2), "--out", "o\udcf6") == 2
    assert detect("clip.avi", "--out", "good") == 0


def test_an_image_from_standard_input(monkeypatch, capsys):
    data = Path(save_image("котик.png")).read_bytes()
    for given, code in ((data, 0), (b"", 2), (b"hello", 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert detect("-", "--out", "out") == code
        out, err = capsys.readouterr()
        assert ("2 cat" in out, "standard input" in err) == (code == 0, code == 2)
    assert all_files("out") == ["stdin.png"]


def test_csv_of_an_image():
    name = save_image("a, b котик.png")
    assert detect(name, "--csv", "found.csv") == 0
    with open("found.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert rows[0] == {
        "source": name,
        "frame": "0",
        "seconds": "0.0",
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
    assert detect(save_image("a.png"), option, "-") == 0
    out, err = capsys.readouterr()
    assert err.startswith("a.png: 2 cat")
    assert len(json.loads(out)) == 1 if option == "--json" else len(out.splitlines()) == 4


def test_json_is_valid_when_nothing_could_be_read():
    Path("bad").mkdir()
    Path("bad/a.png").write_bytes(b"\x89PNG damaged")
    assert detect("bad", "--json", "found.json") == 2
    assert json.loads(Path("found.json").read_text()) == []
