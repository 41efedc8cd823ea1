from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.common.errors import TrainError
from train.data.transforms.augment import AugmentConfig, random_mosaic, random_view
from train.data.transforms.geometry import LabeledImage, crop_and_warp, flip_horizontally

SIZE_WH = (96, 64)
FILL_BGR = (104.0, 117.0, 123.0)
NOTHING = AugmentConfig(window=0.0, flip=0.0, colour=0.0)
GEOMETRIC = replace(NOTHING, window=1.0, flip=0.5)
seeds = st.integers(0, 2**32 - 1)


def make_view(boxes: list[tuple[int, int, int, int]], size_wh: tuple[int, int] = (150, 110)) -> LabeledImage:
    """Grey, with one box filled per channel value: the first blue, the second green, the third red."""
    image = np.full((size_wh[1], size_wh[0], 3), 60, np.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = np.eye(3, dtype=np.uint8)[channel] * 255
    n = len(boxes)
    ids, weights = np.arange(n), np.linspace(0.5, 1, n, dtype=np.float32)
    return LabeledImage(image, np.array(boxes, np.float32).reshape(-1, 4), ids, np.zeros(n, bool), weights, certain(n))


def certain(n: int) -> np.ndarray:
    """Class probabilities of objects of the classes 0, 1 ..., of three or, with more objects, as many."""
    return np.eye(max(n, 3), dtype=np.float32)[:n]


def pixel_box(image: np.ndarray, channel: int) -> np.ndarray:
    """Where the pixels are more of this channel's colour than not: corners of the smallest box around them."""
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    ys, xs = np.nonzero(image[..., channel].astype(int) - others > 97)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


@given(seed=seeds, x=st.integers(0, 90), y=st.integers(0, 60), w=st.integers(20, 60), h=st.integers(20, 50))
def test_the_box_follows_the_pixels(seed: int, x: int, y: int, w: int, h: int):
    view = random_view(make_view([(x, y, x + w, y + h)]), SIZE_WH, FILL_BGR, GEOMETRIC, np.random.default_rng(seed))
    assert view.image_bgr.shape == (64, 96, 3)
    # a window holds the centre of an object, so that object is there
    assert len(view.boxes_xyxy) == 1
    # half a pixel for the rounding of an edge to pixels, a little for its interpolation
    np.testing.assert_allclose(pixel_box(view.image_bgr, 0), view.boxes_xyxy[0], atol=0.75)


@given(seeds)
def test_several_objects_keep_their_ids_and_weights(seed: int):
    before = make_view([(5, 5, 45, 50), (55, 10, 95, 60), (20, 65, 80, 105)])
    after = random_view(before, SIZE_WH, FILL_BGR, GEOMETRIC, np.random.default_rng(seed))
    assert len(after.boxes_xyxy)
    for box, class_id, weight in zip(after.boxes_xyxy, after.class_ids, after.weights, strict=True):
        assert weight == before.weights[class_id]
        if min(box[2:] - box[:2]) > 3:
            np.testing.assert_allclose(pixel_box(after.image_bgr, class_id), box, atol=0.75)


@given(seeds)
def test_boxes_stay_inside_and_have_area(seed: int):
    before = make_view([(0, 0, 150, 110), (140, 100, 150, 110), (2, 2, 4, 4)])
    after = random_view(before, SIZE_WH, FILL_BGR, AugmentConfig(), np.random.default_rng(seed))
    assert (after.boxes_xyxy >= 0).all()
    assert (after.boxes_xyxy <= [96, 64, 96, 64]).all()
    assert (after.boxes_xyxy[:, 2:] - after.boxes_xyxy[:, :2] >= 1).all()


def test_an_object_mostly_cut_off_is_ignored_and_one_outside_is_gone():
    # The window is the left half of the image: x from 0 to 50.
    boxes = [(0, 0, 40, 40), (40, 50, 60, 60), (44, 70, 70, 80), (80, 0, 90, 10)]
    image = np.zeros((100, 100, 3), np.uint8)
    ignore, weights = np.array([True, False, False, False]), np.ones(4, np.float32)
    view = LabeledImage(image, np.float32(boxes), np.arange(4), ignore, weights, certain(4))
    after = crop_and_warp(view, (0.0, 0.0, 50.0, 100.0), (100, 100), FILL_BGR, keep_visible=0.3)
    assert after.class_ids.tolist() == [0, 1, 2]
    assert after.class_probabilities.tolist() == certain(4)[:3].tolist()
    np.testing.assert_allclose(after.boxes_xyxy, [[0, 0, 80, 40], [80, 50, 100, 60], [88, 70, 100, 80]])
    # visible: all (was ignored before), 10 of 20 columns, 6 of 26 columns
    assert after.ignore.tolist() == [True, False, True]


def test_outside_the_photo_the_fill_shows():
    config = replace(GEOMETRIC, flip=0.0, window_size=(1.4, 1.4), window_aspect=1.0)
    view = random_view(make_view([], (100, 100)), (140, 140), (10.0, 20.0, 30.0), config, np.random.default_rng(0))
    inside = (view.image_bgr == 60).all(axis=2)
    filled = (view.image_bgr == (10, 20, 30)).all(axis=2)
    # the image takes 100 x 100 of the 140 x 140; what is neither is the seam
    assert 0.95 < inside.sum() / 100**2 <= 1
    assert 0.95 < filled.sum() / (140**2 - 100**2) <= 1.01


def test_a_flip_mirrors_pixels_and_boxes():
    before = make_view([(10, 20, 50, 60)])
    after = flip_horizontally(before)
    assert after.boxes_xyxy.tolist() == [[100, 20, 140, 60]]
    np.testing.assert_array_equal(after.image_bgr, before.image_bgr[:, ::-1])
    twice = flip_horizontally(after)
    np.testing.assert_array_equal(twice.boxes_xyxy, before.boxes_xyxy)
    np.testing.assert_array_equal(twice.image_bgr, before.image_bgr)


@pytest.mark.parametrize(("flip", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_flips_come_as_often_as_asked(flip: float, share: float):
    config, before = replace(NOTHING, flip=flip), make_view([(0, 0, 40, 40)])
    views = [random_view(before, SIZE_WH, FILL_BGR, config, np.random.default_rng(seed)) for seed in range(100)]
    assert np.mean([view.boxes_xyxy[0, 0] > 0 for view in views]) == pytest.approx(
        share, abs=0.15 if 0 < flip < 1 else 0
    )


def test_colours_change_and_boxes_do_not():
    config, before = replace(NOTHING, colour=1.0), make_view([(10, 20, 50, 60), (60, 20, 90, 60)], SIZE_WH)
    images = []
    for seed in range(5):
        after = random_view(before, SIZE_WH, FILL_BGR, config, np.random.default_rng(seed))
        np.testing.assert_array_equal(after.boxes_xyxy, before.boxes_xyxy)
        images.append(after.image_bgr.tobytes())
        # blue stays mostly blue and green mostly green: labels keep their sense
        assert (after.image_bgr[30, 30].argmax(), after.image_bgr[30, 70].argmax()) == (0, 1)
    assert len(set(images)) == 5


def test_no_change_of_colour_is_no_change():
    config = replace(NOTHING, colour=1.0, hue=0.0, saturation=0.0, brightness=0.0)
    before = make_view([(10, 20, 50, 60)], SIZE_WH)
    after = random_view(before, SIZE_WH, FILL_BGR, config, np.random.default_rng(0))
    np.testing.assert_allclose(after.image_bgr, before.image_bgr, atol=2)  # through HSV and back


def test_the_generator_alone_decides():
    before = make_view([(10, 20, 50, 60)])
    snapshot = before.image_bgr.copy()
    views = [random_view(before, SIZE_WH, FILL_BGR, AugmentConfig(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0].image_bgr, views[1].image_bgr)
    np.testing.assert_array_equal(views[0].boxes_xyxy, views[1].boxes_xyxy)
    assert not np.array_equal(views[0].image_bgr, views[2].image_bgr)
    np.testing.assert_array_equal(before.image_bgr, snapshot)


def test_a_photo_without_objects_is_augmented_too():
    view = random_view(make_view([]), SIZE_WH, FILL_BGR, AugmentConfig(window=1.0), np.random.default_rng(0))
    assert view.boxes_xyxy.shape == (0, 4)
    assert view.ignore.shape == (0,)


# -- changes that are off by default -------------------------------------------------------------------------------


NEW = {"flip_vertical", "rotate", "contrast", "blur_gaussian", "blur_average", "noise"}


def test_the_default_draws_what_it_drew_before_there_were_more_changes():
    """The boxes and the generator's next number, recorded before flip_vertical and the others were added."""
    before = make_view([(10, 20, 50, 60), (70, 30, 140, 100)])
    rng = np.random.default_rng(7)
    view = random_view(before, SIZE_WH, FILL_BGR, AugmentConfig(), rng)
    recorded = [[53.065125, 16.001871, 72.059837, 36.210098], [10.327026, 21.053926, 43.567768, 56.418331]]
    np.testing.assert_allclose(view.boxes_xyxy, recorded, rtol=1e-6)
    assert rng.random() == 0.7970694287520462


@pytest.mark.parametrize("name", sorted(NEW))
def test_each_change_comes_as_often_as_asked(name: str):
    before = make_view([(10, 20, 50, 60)], SIZE_WH)
    shares = []
    for probability in (0.0, 0.5, 1.0):
        config = replace(NOTHING, **{name: probability})
        views = [random_view(before, SIZE_WH, FILL_BGR, config, np.random.default_rng(seed)) for seed in range(60)]
        shares.append(np.mean([not np.array_equal(view.image_bgr, before.image_bgr) for view in views]))
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.5, abs=0.2)
    assert shares[2] > 0.9  # a blur or a turn by next to nothing leaves the image


@given(seeds)
def test_boxes_stay_inside_with_everything_on(seed: int):
    config = AugmentConfig(**dict.fromkeys(NEW, 0.5))
    before = make_view([(0, 0, 150, 110), (140, 100, 150, 110), (2, 2, 4, 4)])
    after = random_view(before, SIZE_WH, FILL_BGR, config, np.random.default_rng(seed))
    assert after.image_bgr.shape == (64, 96, 3)
    assert (after.boxes_xyxy >= 0).all()
    assert (after.boxes_xyxy <= [96, 64, 96, 64]).all()
    assert (after.boxes_xyxy[:, 2:] - after.boxes_xyxy[:, :2] >= 1).all()


@given(seeds)
def test_the_boxes_of_a_mosaic_follow_its_four_photos(seed: int):
    """Three images with a box of their own colour each, and one without an object."""
    boxes = [(10, 20, 60, 70), (40, 30, 100, 80), (50, 10, 120, 90)]
    views = []
    for channel, box in enumerate(boxes):
        view = make_view([(0, 0, 0, 0)] * channel + [box])
        keep = np.arange(channel + 1) == channel
        objects = (view.boxes_xyxy, view.class_ids, view.ignore, view.weights, view.class_probabilities)
        views.append(LabeledImage(view.image_bgr, *(values[keep] for values in objects)))
    views.append(make_view([]))
    config = replace(NOTHING, window=0.5, window_size=(0.8, 1.4), flip=0.5)
    after = random_mosaic(views, SIZE_WH, FILL_BGR, config, np.random.default_rng(seed))
    assert after.image_bgr.shape == (64, 96, 3)
    assert after.class_ids.tolist() == [0, 1, 2]
    assert after.class_probabilities.tolist() == np.eye(3).tolist()
    for channel, box in enumerate(after.boxes_xyxy):
        np.testing.assert_allclose(pixel_box(after.image_bgr, channel), box, atol=1)


INVALID = {
    "probability": ({"rotate": 1.5}, r"--augment\.rotate 1\.5: expected 0 to 1"),
    "range": ({"blur_sigma": (2.0, 1.0)}, r"--augment\.blur-sigma \(2\.0, 1\.0\): expected two numbers"),
    "angle": ({"rotate_degrees": 60.0}, r"--augment\.rotate-degrees 60\.0: expected 0 to 45"),
    "even side": ({"blur_side": 4}, r"--augment\.blur-side 4: expected an odd number"),
    "aspect": ({"window_aspect": 0.5}, r"--augment\.window-aspect 0\.5: expected 1 or more"),
    "noise": ({"noise_sigma": -1.0}, r"--augment\.noise-sigma -1\.0: expected 0 or more"),
}


@pytest.mark.parametrize(("values", "message"), INVALID.values(), ids=INVALID)
def test_values_out_of_range_are_refused(values: dict, message: str):
    with pytest.raises(TrainError, match=message):
        AugmentConfig(**values)


def test_every_option_has_a_meaning():
    assert all(item.metadata["help"] for item in fields(AugmentConfig))
