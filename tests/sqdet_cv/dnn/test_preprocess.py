from __future__ import annotations

import cv2
import numpy as np
import pytest

from sqdet_cv.dnn.preprocess import images_to_blob, resize_to_input
from tests.helpers import make_spec

MEANS = [pytest.param((104.0, 117.0, 123.0), id="mean"), pytest.param((0.0, 0.0, 0.0), id="no mean")]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.mark.parametrize("rgb", [False, True], ids=["bgr", "rgb"])
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
@pytest.mark.parametrize("mean_bgr", MEANS)
def test_blob_is_the_plain_formula(image: np.ndarray, mean_bgr: tuple, scale: float, rgb: bool):
    spec = make_spec(mean_bgr=mean_bgr, scale=scale, rgb=rgb)
    blob = images_to_blob([image, image[::-1].copy()], spec)
    assert blob.dtype == np.float32
    expected = (np.stack([image, image[::-1]]).astype(np.float64) - mean_bgr) * scale
    expected = (expected[..., ::-1] if rgb else expected).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(blob, expected, rtol=1e-5, atol=1e-5)


def test_images_of_any_size_become_one_batch():
    images = [np.full((h, w, 3), value, np.uint8) for h, w, value in ((10, 300, 7), (64, 96, 8), (500, 20, 9))]
    blob = images_to_blob(images, make_spec(mean_bgr=(0, 0, 0)))
    assert blob.shape == (3, 3, 64, 96)
    assert [np.unique(image).tolist() for image in blob] == [[7], [8], [9]]


def test_an_image_is_stretched_and_not_cropped():
    """Four coloured quarters stay four quarters, whatever the aspect."""
    quarters = np.zeros((40, 240, 3), np.uint8)
    quarters[:20, 120:], quarters[20:, :120], quarters[20:, 120:] = 80, 160, 240
    resized = resize_to_input(quarters, (96, 64))
    assert resized.shape == (64, 96, 3)
    for (y, x), value in {(4, 4): 0, (4, 90): 80, (60, 4): 160, (60, 90): 240}.items():
        assert (resized[y, x] == value).all()


def test_up_to_twice_too_large_is_linear():
    image = np.random.default_rng(1).integers(0, 256, (128, 192, 3), np.uint8)
    np.testing.assert_array_equal(resize_to_input(image, (96, 64)), cv2.resize(image, (96, 64)))


@pytest.mark.parametrize("shape", [(640, 960), (640, 96), (64, 960)], ids=["both axes", "height", "width"])
def test_a_huge_image_is_averaged(shape: tuple[int, int]):
    """A line one pixel wide survives as its share of the area; four-pixel interpolation would lose it."""
    image = np.zeros((*shape, 3), np.uint8)
    image[::10, ::10] = 255
    fy, fx = shape[0] // 64, shape[1] // 96
    expected = image.reshape(64, fy, 96, fx, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_to_input(image, (96, 64)), expected, atol=0.51)


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_an_axis_is_averaged_though_the_other_is_enlarged(turned: bool):
    """As one that is just not enlarged: OpenCV averages nothing as soon as one axis grows."""
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (63, 960, 3), np.uint8)
    input_wh, image = ((64, 96), image.transpose(1, 0, 2).copy()) if turned else ((96, 64), image)
    upright = image.transpose(1, 0, 2) if turned else image
    averaged = upright.reshape(63, 96, 10, 3).mean(axis=2)
    rows = np.clip((np.arange(64) + 0.5) * 63 / 64 - 0.5, 0, 62)  # linear between the centres of pixels
    low, share = np.floor(rows).astype(int), (rows % 1)[:, None, None]
    expected = averaged[low] * (1 - share) + averaged[np.minimum(low + 1, 62)] * share
    found = resize_to_input(image, input_wh)
    np.testing.assert_allclose(found.transpose(1, 0, 2) if turned else found, expected, atol=1.5)


def test_a_view_with_negative_strides_is_read_right(image: np.ndarray):
    spec = make_spec()
    np.testing.assert_array_equal(images_to_blob([image[:, ::-1]], spec), images_to_blob([image], spec)[..., ::-1])
