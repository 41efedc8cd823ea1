"""`detect_sources`, as a notebook calls it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detections, SourceError
from sqdet_cv.media import Source, VideoFile, detect_sources, find_sources, plan_outputs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images with a damaged one between them, and a video of five frames, dark until the third."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for name in ("a.png", "c.png"):
        cv2.imwrite(f"images/{name}", np.full((48, 64, 3), 200, np.uint8))
    Path("images/b.png").write_bytes(b"\x89PNG damaged")
    with VideoFile(Path("clip"), 10.0) as video:
        for value in (0, 0, 200, 200, 200):
            video.write(np.full((48, 64, 3), value, np.uint8))


def find_bright(image_bgr: np.ndarray) -> Detections:
    """A "lamp" and a "sun" that fill a bright image, nothing in a dark one."""
    if image_bgr.mean() < 100:
        return Detections([], [], [], ())
    return Detections([[2, 2, 60, 40], [0, 0, 64, 48]], [1, 0], [0.9, 0.5], ("sun", "lamp"))


def test_a_result_for_each_source_also_for_one_that_fails():
    sources = find_sources(["images"])
    first, damaged, last = detect_sources(find_bright, sources, plan_outputs(sources, Path("out")))
    assert [first.source, damaged.source, last.source] == sources
    for result, path in ((first, Path("out/a.png")), (last, Path("out/c.png"))):
        assert (result.error, result.path, result.frames, result.frame_count) == (None, path, 1, 1)
        assert result.detections.labels == ("sun", "lamp")
        assert 0 < result.detect_seconds < result.seconds
        assert (cv2.imread(str(path)) != 200).any()
    assert isinstance(damaged.error, SourceError) and "b.png" in str(damaged.error)
    assert (damaged.path, damaged.frames, damaged.fps) == (None, 0, 0.0)


def test_frames_of_a_video_are_counted_by_class_and_recorded():
    (source,) = find_sources(["clip.mp4" if Path("clip.mp4").exists() else "clip.avi"])
    recorded, told = [], []
    (result,) = detect_sources(
        find_bright,
        [source],
        recorders=[lambda name, frame, found: recorded.append((name, frame.index, len(found)))],
        on_frame=lambda result: told.append(result.frames),
    )
    assert recorded == [(str(source), index, count) for index, count in enumerate([0, 0, 2, 2, 2])]
    assert told == [1, 2, 3, 4, 5]
    assert (result.frames, result.frame_count, result.frames_with) == (5, 5, {"sun": 3, "lamp": 3})
    assert result.path is None and result.fps == 5 / result.seconds
    assert sorted(path.name for path in Path().iterdir()) == sorted(["images", str(source)])


def test_stop_ends_after_a_frame_and_leaves_a_whole_video():
    (source,) = find_sources(["clip.mp4" if Path("clip.mp4").exists() else "clip.avi"])
    seen: list[int] = []
    results = list(
        detect_sources(
            find_bright,
            [source, Source("images/a.png", "a.png", is_still=True)],
            [Path("out/clip"), Path("out/a.png")],
            stop=lambda: len(seen) == 2,
            on_frame=lambda result: seen.append(result.frames),
        )
    )
    assert [result.frames for result in results] == [2]
    (written,) = find_sources(["out"])
    assert Path(str(written.address)) == results[0].path
    assert sum(1 for _ in written.frames()) == 2


def test_results_come_one_by_one():
    calls = []

    def count(image_bgr: np.ndarray) -> Detections:
        calls.append(1)
        return find_bright(image_bgr)

    results = detect_sources(count, find_sources(["images/a.png", "images/c.png"]))
    assert len(calls) == 0
    next(results)
    assert len(calls) == 1
