from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm")
from benchmarks.accuracy import imagenet1000
from tests.colours import CLASSIFIER

COLOURS_BGR = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)  # as the classifier's classes


def write_photos(folder: Path, order: list[int]) -> None:
    for i, color in enumerate(order):
        cv2.imwrite(str(folder / f"n{i}.jpg"), np.full((40, 40, 3), COLOURS_BGR[color], np.uint8))


@pytest.mark.parametrize(
    ("order", "top1"), [([0, 1, 2], "100.0"), ([0, 2, 1], "33.3"), ([1, 2, 0], "0.0")], ids=["all", "one", "none"]
)
def test_right_answers_are_counted(tmp_path: Path, capsys, order: list[int], top1: str):
    write_photos(tmp_path, order)
    assert imagenet1000.main(["--model", str(CLASSIFIER), str(tmp_path)]) == 0
    # of three classes the right one is always among the best five
    assert f"top-1 {top1} %, top-5 100.0 % of 3 images" in capsys.readouterr().out


def test_a_photo_too_few_is_said(tmp_path: Path, capsys):
    write_photos(tmp_path, [0, 1])
    assert imagenet1000.main(["--model", str(CLASSIFIER), str(tmp_path)]) == 2
    assert "2 images (*.jpg); expected one for each of 3 classes" in capsys.readouterr().err
