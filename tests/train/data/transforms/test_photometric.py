from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.transforms.photometric import add_noise, blur_average, blur_gaussian, normalise_contrast

seeds = st.integers(0, 2**32 - 1)


def picture(seed: int = 0, height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(seed=seeds, factor=st.floats(0.1, 3))
def test_contrast_is_the_distance_from_mid_grey(seed: int, factor: float):
    before = picture(seed)
    after = normalise_contrast(before, (factor, factor), np.random.default_rng(seed))
    expected = [min(max((int(v) - 128) * factor + 128, 0), 255) for v in before.ravel()[:200]]
    np.testing.assert_allclose(after.ravel()[:200], expected, atol=0.5 + 1e-6)


@given(seeds)
def test_an_average_blur_is_the_mean_of_an_odd_square(seed: int):
    before = picture(seed)
    after = blur_average(before, 7, np.random.default_rng(seed))
    means = {
        side: before[20 - side // 2 : 21 + side // 2, 25 - side // 2 : 26 + side // 2].mean(axis=(0, 1))
        for side in (3, 5, 7)
    }
    assert any(np.abs(after[20, 25] - mean).max() <= 0.51 for mean in means.values())


def test_all_sides_up_to_the_largest_come():
    dot = np.zeros((21, 21, 3), np.uint8)
    dot[10, 10] = 255
    sides = {
        int((blur_average(dot, 7, np.random.default_rng(seed))[..., 0] > 0).any(axis=0).sum()) for seed in range(40)
    }
    assert sides == {3, 5, 7}


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5])
def test_a_gaussian_blur_has_the_standard_deviation_asked_for(sigma: float):
    line = np.zeros((41, 41, 3), np.uint8)
    line[:, 20] = 255
    after = blur_gaussian(line, (sigma, sigma), np.random.default_rng(0))[20, :, 0].astype(float)
    across = np.arange(41) - 20
    measured = np.sqrt((after * across**2).sum() / after.sum())
    assert (after * across).sum() == pytest.approx(0, abs=1e-6)
    assert measured == pytest.approx(sigma, abs=0.1)


def test_noise_has_no_more_than_the_deviation_asked_for_and_no_colour():
    grey = np.full((100, 100, 3), 128, np.uint8)
    deviations = []
    for seed in range(20):
        difference = add_noise(grey, 20.0, np.random.default_rng(seed)).astype(float) - 128
        assert abs(difference.mean()) < 0.5
        assert abs(np.corrcoef(difference[..., 0].ravel(), difference[..., 1].ravel())[0, 1]) < 0.1 or (
            difference.std() < 1
        )
        deviations.append(difference.std())
    assert max(deviations) < 20.5
    assert min(deviations) < 7 < 13 < max(deviations), "from none to the largest"


CHANGES = {
    "contrast": lambda image, rng: normalise_contrast(image, (0.5, 1.5), rng),
    "Gaussian blur": lambda image, rng: blur_gaussian(image, (0.3, 1.5), rng),
    "average blur": lambda image, rng: blur_average(image, 5, rng),
    "noise": lambda image, rng: add_noise(image, 13.0, rng),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_generator_alone_decides_and_the_input_stays(change):
    before = picture()
    flipped = before[:, ::-1]  # views of a flip are not contiguous
    snapshot = before.copy()
    first, again, other = (change(flipped, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype) == (before.shape, np.uint8)
    assert not np.array_equal(first, other) or change is CHANGES["average blur"]
    np.testing.assert_array_equal(before, snapshot)
    assert cv2.norm(first, flipped.copy()) > 0
