from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv.media.annotate import class_color
from tests.helpers import write_devkit
from train.__main__ import main
from train.common.plotting import GAP, sheet
from train.data.preview import GREY_BGR, draw_objects
from train.data.transforms.geometry import LabeledImage


def test_a_sheet_holds_its_pictures_in_rows():
    images = [np.full((20, 30, 3), value, np.uint8) for value in (10, 20, 30)]
    page = sheet(images, 2)
    assert page.shape == (2 * 20 + GAP, 2 * 30 + GAP, 3)
    assert [page[5, 5, 0], page[5, 30 + GAP, 0], page[20 + GAP, 29, 0]] == [10, 20, 30]
    assert (page[:, 30 : 30 + GAP] == 255).all()
    assert (page[20 + GAP :, 30 + GAP :] == 255).all()


def test_ignored_boxes_are_grey_and_the_others_of_their_class():
    boxes = np.float32([[10, 10, 50, 50], [60, 20, 90, 60]])
    image = np.zeros((100, 100, 3), np.uint8)
    view = LabeledImage(
        image, boxes, np.array([1, 0]), np.array([True, False]), np.float32([1, 0.5]), np.float32([[0, 1], [1, 0]])
    )
    drawn = draw_objects(view, ("cat", "dog"))
    assert tuple(drawn[30, 10]) == GREY_BGR
    assert tuple(drawn[40, 60]) == class_color(0)
    assert not image.any(), "the view stays as it is"


def test_a_sheet_of_everything_is_written(tmp_path: Path, capsys):
    devkit, out = write_devkit(tmp_path / "voc", {"train": 5}), tmp_path / "new" / "sheet.png"
    all_classes = [
        word
        for name in ("flip-vertical", "rotate", "contrast", "blur-gaussian", "blur-average", "noise", "mosaic")
        for word in (f"--augment.{name}", "0.5")
    ]
    command = ["show-data", "--data", str(devkit), "--out", str(out), "--size", "64", "--columns", "3", *all_classes]
    assert main(command) == 0
    assert cv2.imread(str(out)).shape == (2 * 64 + GAP, 3 * 64 + 2 * GAP, 3)
    assert "sheet.png: 5 of 5 images" in capsys.readouterr().out
    first = out.read_bytes()
    assert main(command) == 0
    assert out.read_bytes() == first, "the seed decides"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.jpg"], "--out x.jpg: expected a .png file"),
        (["--count", "0"], "--count 0: expected 1 or more"),
        (["--augment.rotate", "2"], "--augment.rotate 2.0: expected 0 to 1"),
        ([], "nowhere: no such folder"),
    ],
    ids=["suffix", "count", "augment", "data"],
)
def test_wrong_options_are_named(words: list[str], message: str, capsys):
    assert main(["show-data", "--data", "nowhere", "--out", "x.png", *words]) == 2
    assert message in capsys.readouterr().err
