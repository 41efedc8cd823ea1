"""Boxes against the pixels: a shape is drawn, the image is changed, and the shape is looked for in it."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.data.transforms.geometry import LabeledImage, crop_and_warp, flip_horizontally, flip_vertically, turn_boxes

PHOTO_WH = (160, 120)
FILL_BGR = (1.0, 2.0, 3.0)
BLACK_BGR = (0.0, 0.0, 0.0)
turns = st.floats(-45, 45).filter(lambda degrees: abs(degrees) > 1e-3)
boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.integers(40, 80),
    st.integers(30, 60),
    st.integers(16, 40),
    st.integers(16, 30),
)


def make_view(image: np.ndarray, *boxes_xyxy: tuple[float, ...]) -> LabeledImage:
    n = len(boxes_xyxy)
    boxes = np.array(boxes_xyxy, np.float32).reshape(-1, 4)
    return LabeledImage(
        image, boxes, np.arange(n), np.zeros(n, bool), np.ones(n, np.float32), np.eye(n, dtype=np.float32)
    )


def filled(box_xyxy: tuple[int, int, int, int]) -> np.ndarray:
    """A black image with the ellipse in the box in white."""
    ys, xs = np.mgrid[: PHOTO_WH[1], : PHOTO_WH[0]] + 0.5
    x1, y1, x2, y2 = box_xyxy
    across, down = (2 * xs - x1 - x2) / (x2 - x1), (2 * ys - y1 - y2) / (y2 - y1)
    return ((across**2 + down**2 <= 1)[..., None] * np.full(3, 255)).astype(np.uint8)


def extent(image: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(image[..., 0] > 127)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def whole_window(view: LabeledImage) -> tuple[float, float, float, float]:
    height, width = view.image_bgr.shape[:2]
    return 0.0, 0.0, float(width), float(height)


@given(degrees=turns, box=boxes)
def test_a_turned_box_is_where_the_turned_ellipse_is(degrees: float, box: tuple):
    view = make_view(filled(box), box)
    after = crop_and_warp(view, whole_window(view), PHOTO_WH, BLACK_BGR, 0.3, degrees)
    # A pixel at a sharp corner is covered to less than half: up to a pixel and a half goes missing there.
    np.testing.assert_allclose(extent(after.image_bgr), after.boxes_xyxy[0], atol=2)


@given(degrees=turns, box=boxes, x=st.integers(0, 20), y=st.integers(0, 10), w=st.integers(120, 160))
def test_a_turn_and_a_stretched_window_go_together(degrees: float, box: tuple, x: int, y: int, w: int):
    view = make_view(filled(box), box)
    after = crop_and_warp(view, (x, y, w, 110), (240, 100), BLACK_BGR, 0.3, degrees)
    if after.boxes_xyxy[0].min() > 2 and (after.boxes_xyxy[0, 2:] < (238, 98)).all():
        np.testing.assert_allclose(extent(after.image_bgr), after.boxes_xyxy[0], atol=2)


def test_positive_degrees_turn_counter_clockwise():
    # right of the centre before, above it after
    (box,) = turn_boxes(np.float32([[110, 55, 120, 65]]), 90, (80, 60))
    np.testing.assert_allclose(box, [75, 20, 85, 30], atol=1e-4)


def test_corners_that_a_turn_uncovers_show_the_fill():
    view = make_view(np.full((120, 160, 3), 200, np.uint8))
    image = crop_and_warp(view, whole_window(view), PHOTO_WH, FILL_BGR, 0.3, 30.0).image_bgr
    assert [tuple(image[y, x]) for y in (0, -1) for x in (0, -1)] == [(1, 2, 3)] * 4
    assert tuple(image[60, 80]) == (200, 200, 200)


@given(box=boxes)
def test_upside_down(box: tuple):
    before = make_view(filled(box), box)
    after = flip_vertically(before)
    np.testing.assert_array_equal(extent(after.image_bgr), after.boxes_xyxy[0])
    np.testing.assert_array_equal(after.image_bgr, before.image_bgr[::-1])
    # both flips are half a turn
    half = turn_boxes(before.boxes_xyxy, 180, (80, 60))
    np.testing.assert_allclose(flip_horizontally(after).boxes_xyxy, half, atol=1e-3)


# -- shrinking ------------------------------------------------------------------------------------------------


def test_thin_lines_survive_shrinking():
    """A line a pixel wide in every eighth column is an eighth of the light, wherever the samples fall."""
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, 3::8] = 240
    view = make_view(image)
    shrunk = crop_and_warp(view, whole_window(view), (50, 50), BLACK_BGR, 0.3).image_bgr
    np.testing.assert_allclose(shrunk[5:-5, 5:-5], 30, atol=1)


@given(
    width=st.integers(120, 700),
    height=st.integers(120, 700),
    window=st.tuples(*[st.floats(-0.3, 0.3)] * 2, *[st.floats(0.5, 1.4)] * 2),
    degrees=st.one_of(st.just(0.0), turns),
)
def test_shrinking_moves_nothing(width: int, height: int, window: tuple, degrees: float):
    """A smooth image looks the same as when each pixel is looked up by itself."""
    ys, xs = np.mgrid[:height, :width].astype(np.float32) + 0.5
    image = (np.stack([xs / width, ys / height, 0.5 + 0 * xs], axis=2) * 250).astype(np.uint8)
    x, y, w, h = (share * side for share, side in zip(window, (width, height, width, height)))
    after = crop_and_warp(make_view(image), (x, y, w, h), (60, 40), BLACK_BGR, 0.3, degrees).image_bgr

    out_y, out_x = np.mgrid[:40, :60] + 0.5
    across, down = out_x / 60 * w - w / 2, out_y / 40 * h - h / 2  # from the window's centre, in image pixels
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    photo_x, photo_y = across * cos - down * sin + x + w / 2, across * sin + down * cos + y + h / 2
    margin = 2 * max(w / 60, h / 40) + 2
    inside = (photo_x > margin) & (photo_x < width - margin) & (photo_y > margin) & (photo_y < height - margin)
    expected = np.stack([photo_x / width, photo_y / height], axis=2) * 250
    np.testing.assert_allclose(after[..., :2][inside], expected[inside], atol=2.5)


def test_a_photo_that_is_not_twice_too_large_is_only_warped():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (99, 119, 3), np.uint8)
    after = crop_and_warp(make_view(image), (0, 0, 119, 99), (60, 50), BLACK_BGR, 0.3).image_bgr
    expected = cv2.warpAffine(image, np.float64([[60 / 119, 0, 30 / 119 - 0.5], [0, 50 / 99, 25 / 99 - 0.5]]), (60, 50))
    np.testing.assert_array_equal(after, expected)
