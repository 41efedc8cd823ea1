"""Random changes of an image's pixels, (H, W, 3) uint8 BGR to the same; boxes stay. The random numbers come from the
generator that is passed in; the other arguments are those of `AugmentConfig`."""

from __future__ import annotations

import cv2
import numpy as np


def shift_colours(
    image_bgr: np.ndarray, hue_limit: float, saturation_limit: float, brightness_limit: float, rng: np.random.Generator
) -> np.ndarray:
    """Another hue, saturation and brightness."""
    hue, saturation, value = cv2.split(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2HSV))
    shift = rng.uniform(-hue_limit, hue_limit) * 180  # OpenCV's hue counts to 180
    saturate = 1 + rng.uniform(-saturation_limit, saturation_limit)
    brighten = 1 + rng.uniform(-brightness_limit, brightness_limit)
    levels = np.arange(256)
    hue = cv2.LUT(hue, ((levels + shift) % 180).astype(np.uint8))
    saturation = cv2.LUT(saturation, np.clip(levels * saturate, 0, 255).astype(np.uint8))
    value = cv2.LUT(value, np.clip(levels * brighten, 0, 255).astype(np.uint8))
    return cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2BGR)


def normalise_contrast(
    image_bgr: np.ndarray, factor_range: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Distances from mid-grey (128) times a random factor, as imgaug's ContrastNormalization."""
    factor = rng.uniform(*factor_range)
    return cv2.LUT(image_bgr, np.clip((np.arange(256) - 128) * factor + 128, 0, 255).round().astype(np.uint8))


def blur_gaussian(image_bgr: np.ndarray, sigma_range: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image_bgr, (0, 0), rng.uniform(*sigma_range))


def blur_average(image_bgr: np.ndarray, largest_side: int, rng: np.random.Generator) -> np.ndarray:
    """The mean of a square with a random odd side of 3 ... largest_side pixels; an even side would move the image."""
    side = 2 * int(rng.integers(1, (largest_side - 1) // 2 + 1)) + 1
    return cv2.blur(image_bgr, (side, side))


def add_noise(image_bgr: np.ndarray, largest_sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, its own for each pixel and channel."""
    noise = rng.standard_normal(image_bgr.shape, np.float32) * rng.uniform(0, largest_sigma)
    return np.clip(image_bgr + noise, 0, 255).round().astype(np.uint8)
