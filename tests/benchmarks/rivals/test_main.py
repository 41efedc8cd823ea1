"""The comparison as a command, with the embedded model and a Darknet net as small as they get."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from benchmarks.rivals import __main__ as rivals
from benchmarks.rivals.__main__ import Scale, main
from benchmarks.rivals.models import EMBEDDED_NAME
from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import write_devkit
from tests.train.detectors.tiny_darknet import make_darknet, needs_importer


def rival_folder(folder: Path) -> Path:
    folder.mkdir()
    make_darknet(folder, classes=len(VOC_LABELS))
    return folder


def speeds(out: Path) -> dict[str, dict]:
    rows = json.loads((out / "rivals.json").read_text())
    return {row["name"]: row["speeds"][0] for row in rows}


@needs_importer
def test_all_are_timed_in_one_run(tmp_path: Path):
    out = tmp_path / "out"
    folder = str(rival_folder(tmp_path / "peers"))
    code = main(["--only", "speed", "--rivals", folder, "--out", str(out), "--rounds", "2", "--reference", "tiny"])
    assert code == 0
    found = speeds(out)
    assert found.keys() == {EMBEDDED_NAME, "tiny"}
    for speed in found.values():
        assert min(speed["pre"], speed["forward"], speed["post"]) > 0
        assert speed["total"] > max(speed["pre"], speed["forward"], speed["post"])
        assert speed["opencv"] == cv2.__version__ and speed["rounds"] == 2
    assert found["tiny"]["ratio"] == 1
    assert found[EMBEDDED_NAME]["ratio"] > 3  # a net of one layer takes next to no time
    assert not (out / "rivals.png").exists()


@pytest.mark.slow
@needs_importer
def test_a_second_run_measures_only_what_changed(tmp_path: Path, monkeypatch):
    devkit = write_devkit(tmp_path / "voc", {"val": 3})
    out, folder = tmp_path / "out", rival_folder(tmp_path / "peers")
    command = ["--only", "map", "--rivals", str(folder), "--data", str(devkit), "--out", str(out)]
    assert main(command) == 0
    first = json.loads((out / "rivals.json").read_text())
    assert all(row["accuracy"]["photos"] == "3 images of voc val" for row in first)
    assert (out / "rivals.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr(rivals, "plot_rivals", lambda rows: None)  # saves time
    measured = []
    measure = Scale._measure
    monkeypatch.setattr(Scale, "_measure", lambda self, model: measured.append(model.name) or measure(self, model))
    assert main(command) == 0 and measured == []
    assert json.loads((out / "rivals.json").read_text()) == first
    weights = folder / "tiny.weights"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\x3f")
    assert main(command) == 0 and measured == ["tiny"]
    annotation = devkit / "Annotations" / "val_000.xml"
    annotation.write_text(annotation.read_text().replace("<difficult>0", "<difficult>1"))
    assert main(command) == 0 and measured == ["tiny", EMBEDDED_NAME, "tiny"]


@pytest.mark.slow
@needs_importer
def test_speed_of_one_run_joins_the_map_of_another(tmp_path: Path):
    devkit = write_devkit(tmp_path / "voc", {"val": 2})
    timed, out = tmp_path / "timed", tmp_path / "out"
    assert main(["--only", "speed", "--out", str(timed), "--rounds", "1"]) == 0
    command = ["--only", "map", "--data", str(devkit), "--out", str(out), "--join", str(timed / "rivals.json")]
    assert main(command) == 0
    (row,) = json.loads((out / "rivals.json").read_text())
    assert row["speeds"] == [speeds(timed)[EMBEDDED_NAME]] and row["accuracy"]["photos"] == "2 images of voc val"


def _no_weights(folder: Path) -> list[str]:
    (rival_folder(folder / "peers") / "tiny.weights").unlink()
    return ["--rivals", str(folder / "peers")]


def _empty(folder: Path) -> list[str]:
    (folder / "peers").mkdir()
    return ["--rivals", str(folder / "peers")]


BAD = {
    "no folder": (lambda folder: ["--rivals", str(folder / "nowhere")], "nowhere: no such folder"),
    "empty folder": (_empty, "no .cfg in it"),
    "cfg without weights": (_no_weights, "tiny.weights: no such file"),
    "no such model": (lambda folder: ["--ours", str(folder / "mine.onnx")], "mine.onnx: no such file"),
    "no such checkpoint": (lambda folder: ["--ours", str(folder / "mine.pt")], "mine.pt: no such checkpoint"),
    "other kind": (lambda folder: ["--ours", "mine.tflite"], "mine.tflite: expected a checkpoint"),
    "no reference": (lambda folder: ["--reference", "yolo"], "--reference yolo: no such model"),
    "no rounds": (lambda folder: ["--rounds", "0"], "--rounds 0: expected 1 or more"),
    "nothing to join": (lambda folder: ["--join", str(folder / "gone.json")], "gone.json: no such file"),
    "no image": (lambda folder: ["--pictures", str(folder / "gone.jpg")], "gone.jpg"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_before_anything_is_measured(tmp_path: Path, capsys, monkeypatch, case: str):
    monkeypatch.setattr(rivals, "time_all", None)
    make, message = BAD[case]
    assert main(["--only", "speed", "--out", str(tmp_path / "out"), *make(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rivals: ") and message in line


def test_map_without_data_is_refused(tmp_path: Path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    assert "mAP needs --data" in capsys.readouterr().err
