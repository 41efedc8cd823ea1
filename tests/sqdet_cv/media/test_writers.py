"""Videos keep the time and the size of what they are made of."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sqdet_cv.errors import SqdetError
from sqdet_cv.media.find import find_sources
from sqdet_cv.media.writers import VideoFile


def grey(value: int, size_wh: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), value, np.uint8)


def read(path: Path | None) -> list[np.ndarray]:
    (source,) = find_sources([str(path)])
    return [frame.image_bgr for frame in source.frames()]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param([0, 0.1, 0.2, 0.3], [0, 1, 2, 3], id="as the rate says"),
        pytest.param([5, 5.1, 5.4, 5.5], [0, 1, 1, 1, 2, 3], id="a frame that stays"),
        pytest.param([0, 0.01, 0.02, 0.1, 0.11, 0.2], [0, 3, 5], id="more than the rate"),
        pytest.param([0.004, 0.098, 0.203, 0.299], [0, 1, 2, 3], id="jitter"),
        pytest.param([None, None, None], [0, 1, 2], id="no times"),
    ],
)
def test_frames_come_when_they_were_seen(tmp_path: Path, seconds: list, expected: list[int]):
    with VideoFile(tmp_path / "clip", 10.0) as video:
        for i, at in enumerate(seconds):
            video.write(grey(40 * i), at)
    means = [image.mean() / 40 for image in read(video.path)]
    np.testing.assert_allclose(means, expected, atol=0.2)


@pytest.mark.parametrize("size_wh", [(65, 49), (64, 49), (65, 48)], ids=str)
def test_odd_sizes_lose_no_row_and_no_column(tmp_path: Path, size_wh: tuple[int, int]):
    image = grey(0, size_wh)
    image[-1], image[:, -1] = 250, 250
    with VideoFile(tmp_path / "clip", 10.0) as video:
        video.write(image)
    (found,) = read(video.path)
    assert found.shape == (size_wh[1] + size_wh[1] % 2, size_wh[0] + size_wh[0] % 2, 3)
    assert found[size_wh[1] - 1, : size_wh[0]].mean() > 150 < found[: size_wh[1], size_wh[0] - 1].mean()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_an_error_and_the_old_video_stays(tmp_path: Path):
    import resource

    (tmp_path / "clip.mp4").write_bytes(b"of another day")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0)
    said = pytest.raises(SqdetError, match=r"clip\.mp4: the video could not be written")
    with said, VideoFile(tmp_path / "clip", 10.0) as video:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            for _ in range(60):
                video.write(noise.integers(0, 256, (120, 160, 3), np.uint8))
            video._writer.release()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "clip.mp4").read_bytes() == b"of another day"
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
