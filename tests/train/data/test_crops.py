from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import COLOURS_BGR, Thing, write_list, write_photo
from train.__main__ import main
from train.data.crops import crop_box

THINGS = [Thing("cat", (10, 12, 40, 32)), Thing("dog", (50, 5, 90, 65)), Thing("cat", (1, 60, 30, 70), difficult=True)]


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    write_photo(root, "a", THINGS)
    write_photo(root, "b", [Thing("cat", (20, 20, 60, 50)), Thing("bird", (2, 2, 12, 40))])
    write_list(root, "train", ["a"])
    write_list(root, "val", ["b"])
    return root


def crops(devkit: Path, out: Path, *options: str) -> int:
    return main(["crops", "--data", str(devkit), "--out", str(out), *options])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_boxes_become_pictures_of_their_class(devkit: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert crops(devkit, out, "--margin", "0", "--min-side", "8", "--max-side", "40") == 0
    assert files(out) == ["train/cat/a_0.jpg", "train/dog/a_1.jpg", "val/bird/b_1.jpg", "val/cat/b_0.jpg"]
    assert "train: 2 images of 2 classes" in capsys.readouterr().out
    cat, dog = (cv2.imread(str(out / "train" / name)) for name in ("cat/a_0.jpg", "dog/a_1.jpg"))
    assert cat.shape == (20, 30, 3)
    assert dog.shape == (40, 27, 3), "40 x 60 shrunk to a longer side of 40"
    for image, label in ((cat, "cat"), (dog, "dog")):
        np.testing.assert_allclose(image[5:-5, 5:-5].mean(axis=(0, 1)), COLOURS_BGR[label], atol=6)


def test_thin_boxes_are_left_out(devkit: Path, tmp_path: Path):
    assert crops(devkit, tmp_path / "out", "--lists", "val", "--min-side", "11") == 0
    assert files(tmp_path / "out") == ["val/cat/b_0.jpg"]


MARGINS = [
    pytest.param((10, 20, 30, 60), 0.0, (10, 20, 30, 60), id="none"),
    pytest.param((10, 20, 30, 60), 0.25, (5, 10, 35, 70), id="a quarter of each side"),
    pytest.param((10.2, 20.7, 29.9, 59.1), 0.0, (10, 20, 30, 60), id="rounded outwards"),
    pytest.param((5, 5, 105, 75), 0.1, (0, 0, 110, 80), id="as far as the image goes"),
]


@pytest.mark.parametrize(("box", "margin", "expected"), MARGINS)
def test_margin(box: tuple, margin: float, expected: tuple):
    image = np.random.default_rng(0).integers(0, 256, (80, 110, 3), np.uint8)
    x1, y1, x2, y2 = expected
    np.testing.assert_array_equal(crop_box(image, np.float32(box), margin), image[y1:y2, x1:x2])


def test_a_damaged_photo_leaves_no_half_a_folder(devkit: Path, tmp_path: Path, capsys):
    write_list(devkit, "train", ["a", "b"])
    (devkit / "JPEGImages" / "b.jpg").write_bytes(b"hello")
    assert crops(devkit, tmp_path / "out", "--lists", "train") == 2
    assert "b.jpg: missing or not an image" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


BAD = {
    "margin": (["--margin", "-1"], "--margin -1.0: expected 0 or more"),
    "sides": (["--min-side", "50", "--max-side", "40"], "expected 1 <= MIN <= MAX"),
    "no such split": (["--lists", "test"], "test.txt: no such split; there are train, val"),
    "nothing left": (["--min-side", "200"], "no box of at least 200 pixels"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(devkit: Path, tmp_path: Path, capsys, options: list[str], message: str):
    assert crops(devkit, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_an_old_folder_is_not_written_into(devkit: Path, tmp_path: Path, capsys):
    (tmp_path / "out" / "val").mkdir(parents=True)
    assert crops(devkit, tmp_path / "out") == 2
    assert "val: exists already" in capsys.readouterr().err
    assert files(tmp_path / "out") == []
