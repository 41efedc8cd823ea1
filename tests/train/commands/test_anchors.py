from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import write_devkit
from train.__main__ import main
from train.commands.anchors import parse_counts
from train.common.errors import TrainError
from train.data.anchors import cluster_shapes, network_shapes, shape_iou
from train.data.formats.voc import load_voc


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": 12, "val": 3})


def _run(devkit: Path, *words: str) -> int:
    return main(["anchors", "--data", str(devkit), *words])


@pytest.mark.parametrize("metric", ["iou", "euclidean"])
def test_the_table_says_how_well_each_number_of_shapes_fits(devkit: Path, capsys, metric: str):
    assert _run(devkit, "--lists", "train,val", "--size", "200", "--shapes", "2-4", "--metric", metric) == 0
    printed = capsys.readouterr().out
    shapes = network_shapes(load_voc(devkit, ["train", "val"], VOC_LABELS), (200, 200))
    assert printed.startswith(f"{len(shapes)} boxes of 15 images at 200 x 200 px\n")
    rows = [line for line in printed.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 3
    for row, count in zip(rows, (2, 3, 4), strict=True):
        iou = shape_iou(shapes, cluster_shapes(shapes, count, 0, metric)).max(axis=1)
        assert row == f"| {count} | {iou.mean():.3f} | {100 * (iou > 0.5).mean():.1f} % |"
    found = cluster_shapes(shapes, 4, 0, metric)
    assert printed.splitlines()[-1] == "width,height: " + "; ".join(f"{w:.0f},{h:.0f}" for w, h in found)


def test_the_plot_shows_the_clusters(devkit: Path, tmp_path: Path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / "anchors.png"
    assert _run(devkit, "--shapes", "3", "--plot", str(path)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    assert [item.name for item in path.parent.iterdir()] == ["anchors.png"]
    image = cv2.imread(str(path))
    assert min(image.shape[:2]) > 600
    # the colours of three clusters, each far more often than the few pixels of a letter's edge
    hue, saturation, _ = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    hues = np.bincount(hue[saturation > 150], minlength=180)
    assert (hues > 150).sum() >= 3


@pytest.mark.parametrize(("text", "counts"), [("9", [9]), ("1-3", [1, 2, 3]), ("4-4", [4])])
def test_counts(text: str, counts: list[int]):
    assert list(parse_counts(text)) == counts


@pytest.mark.parametrize("text", ["", "0", "0-3", "5-2", "a", "3-", "-3", "1-2-3", "1.5"])
def test_bad_counts_are_quoted(text: str):
    with pytest.raises(TrainError, match=f"--anchors-per-cell {text}: expected"):
        parse_counts(text)


BAD = {
    "too many shapes": (["--shapes", "1-1000"], "anchor shapes need at least as many"),
    "size": (["--size", "0"], "--size 0: expected 1 or more"),
    "seed": (["--seed=-1"], "--seed -1: expected 0 or more"),
    "no list": (["--lists", "trainval"], "trainval.txt: no such split; there are train, val"),
    "plot of another kind": (["--plot", "anchors.jpg"], "--plot anchors.jpg: expected a .png file"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(devkit: Path, capsys, words: list[str], message: str):
    assert _run(devkit, *words) == 2
    errors = capsys.readouterr().err
    assert errors.splitlines()[-1].startswith("error: ")
    assert message in errors


def test_a_plot_without_matplotlib_is_said_before_the_work(devkit: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert _run(devkit, "--plot", str(tmp_path / "a.png")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and "matplotlib" in captured.err
    assert captured.out == ""
    assert _run(devkit, "--shapes", "2") == 0
