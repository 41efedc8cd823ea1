"""Table, JSON, joining and plot, from made-up results."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.rivals.plot import plot_rivals, size_points, speed_points
from benchmarks.rivals.results import Accuracy, Row, Speed, join, load_rows, places, save_rows, table
from train.common.errors import TrainError


def accuracy(share: float | None, photos: str = "abc") -> Accuracy:
    return Accuracy("437 images of voc test", photos, share, 0.5, 0.25)


def speed(total: float, opencv: str = "4.14.0", ratio: float | None = None) -> Speed:
    reference = None if ratio is None else "small"
    return Speed(opencv, 2, 60, 2, 0.1, 0.5, total - 1.5, 1.0, total, reference, ratio)


ROWS = [
    Row("mine", True, "d0", (256, 256), 1_182_625, 2_390_000, accuracy(0.266), (speed(13.2, ratio=1.61),)),
    Row("small", False, "d1", (320, 320), 315_700, 1_270_000, accuracy(0.476), (speed(8.2, ratio=1.0),)),
    Row("large", False, "d2", (320, 320), 872_000, 3_500_000, accuracy(None)),
]
NEWER = [Row("other name", True, "d0", (256, 256), 1_182_625, 2_390_000, None, (speed(11.0, "5.1.0"),))]


def test_a_table_row_says_what_was_measured():
    header, _, *lines = table(ROWS).splitlines()
    assert header.endswith("| mAP | 5 animals | COCO AP | ms, OpenCV 4.14.0, 2 threads | ratio |")
    assert lines[0] == "| small | 320 x 320 | 0.32 M | 1.27 MB | 47.6 | 50.0 | 25.0 | 8.2 (0.5 + 6.7 + 1.0) | 1.00 |"
    assert lines[1].startswith("| **mine** | 256 x 256 | 1.18 M | 2.39 MB | 26.6 |") and lines[1].endswith("| 1.61 |")
    assert lines[2] == "| large | 320 x 320 | 0.87 M | 3.50 MB | - | 50.0 | 25.0 | - | - |"
    assert "437 images of voc test" in lines[4]
    assert lines[5].startswith("OpenCV 4.14.0, 2 threads: 2 models in turns, 60 rounds over 2 images")
    assert "ratio to small" in lines[5] and lines[5].endswith("load before the run 0.1.")


def test_another_run_adds_its_times():
    joined = join(ROWS, NEWER)
    assert [row.name for row in joined] == ["mine", "small", "large"]
    assert joined[0].speeds == (ROWS[0].speeds[0], NEWER[0].speeds[0]) and joined[0].accuracy == ROWS[0].accuracy
    assert joined[1:] == ROWS[1:]
    assert places(joined) == [("4.14.0", 2), ("5.1.0", 2)]
    mine = table(joined).splitlines()[3]
    assert mine.endswith("| 13.2 (0.5 + 11.7 + 1.0) | 1.61 | 11.0 (0.5 + 9.5 + 1.0) | - |")


def test_what_this_run_measured_stays():
    old = [Row("mine", True, "d0", (256, 256), 1_182_625, 2_390_000, accuracy(0.1), (speed(99.0),))]
    assert join(ROWS, old) == ROWS
    assert join(old, ROWS)[0] == old[0]


def test_models_and_map_of_another_run_are_added():
    (mine, *others) = join(NEWER, ROWS)
    assert mine.name == "other name" and mine.accuracy == ROWS[0].accuracy and len(mine.speeds) == 2
    assert others == ROWS[1:]


def test_map_on_other_photos_is_refused():
    other = [Row("x", False, "d9", (1, 1), 1, 1, accuracy(0.3, photos="xyz"))]
    with pytest.raises(TrainError, match="different images"):
        join(ROWS, other)


def test_json_gives_back_the_rows(tmp_path):
    rows = join(ROWS, NEWER)
    save_rows(tmp_path / "rivals.json", rows)
    assert load_rows(tmp_path / "rivals.json") == rows


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1}', "[3]", "[{}]", '[{"name": "a", "input_wh": [1, 2], "speeds": []}]']
)
def test_json_that_is_something_else(tmp_path, text: str):
    (tmp_path / "rivals.json").write_text(text)
    with pytest.raises(TrainError, match=r"rivals\.json: not the rivals\.json of a run"):
        load_rows(tmp_path / "rivals.json")


def test_points_are_what_was_measured():
    joined = join(ROWS, NEWER)
    assert [(p.x, p.y, p.name, p.filled) for p in speed_points(joined)] == [
        (13.2, pytest.approx(26.6), "mine", True),
        (11.0, pytest.approx(26.6), "mine, OpenCV 5.1.0, 2 threads", False),
        (8.2, pytest.approx(47.6), "small", True),
    ]
    assert [(p.x, p.ours) for p in size_points(joined)] == [(2.39, True), (1.27, False)]


def test_the_plot_shows_ours_and_theirs_in_two_panels():
    image = cv2.imdecode(np.frombuffer(plot_rivals(join(ROWS, NEWER)), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (400, 900, 3)
    red = np.abs(image.astype(int) - (0x30, 0x30, 0xC5)).max(axis=2) < 10
    assert all(half.sum() > 50 for half in (red[:, :450], red[:, 450:]))


@pytest.mark.parametrize("rows", [[], ROWS[2:], NEWER], ids=["nothing", "no mAP", "time alone"])
def test_no_plot_without_points(rows: list[Row]):
    assert plot_rivals(rows) is None
