"""Drawing: what changes in the image, what does not, and every size of image."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqdet_cv.detections import Detections
from sqdet_cv.errors import SqdetError
from sqdet_cv.media.annotate import class_color, draw, write_text


def one(box, class_id=0, label="cat", score=0.9):
    return Detections([box], [class_id], [score], (label,))


def test_gives_a_new_image_and_keeps_the_old():
    image = np.full((200, 300, 3), 90, np.uint8)
    drawn = draw(image, one((50, 60, 200, 150)))
    assert (image == 90).all()
    assert drawn.shape == image.shape and drawn.dtype == np.uint8 and (drawn != 90).any()


@pytest.mark.parametrize("image", [None, np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint16)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(SqdetError, match="the image is .*, expected "):
        draw(image, one((1, 1, 5, 5)))


def test_without_detections_nothing_changes():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    np.testing.assert_array_equal(draw(image, Detections([], [], [], ())), image)


def test_box_has_the_colour_of_its_class_and_an_empty_middle():
    drawn = draw(np.zeros((400, 400, 3), np.uint8), one((100, 100, 300, 300), class_id=3), line_width=3)
    assert tuple(drawn[200, 100]) == class_color(3)
    assert tuple(drawn[299, 200]) == class_color(3)
    assert (drawn[120:280, 120:280] == 0).all()


def test_tag_is_filled_and_its_text_contrasts():
    for class_id in range(20):
        tag = draw(np.full((400, 400, 3), 128, np.uint8), one((100, 100, 300, 300), class_id))[88:98, 102:140]
        grey = cv2.cvtColor(tag, cv2.COLOR_BGR2GRAY)
        assert int(grey.max()) - int(grey.min()) > 90, f"class {class_id}"


def test_colours_of_voc_are_distinct():
    colors = np.array([class_color(class_id) for class_id in range(20)], int)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + np.eye(20, dtype=int) * 999
    assert distances.min() > 40


def test_the_best_is_on_top():
    both = Detections([[50, 50, 150, 150], [50, 50, 150, 150]], [1, 2], [0.9, 0.4], ("a", "b"))
    assert tuple(draw(np.zeros((200, 200, 3), np.uint8), both)[149, 100]) == class_color(1)


@pytest.mark.parametrize("box", [(0, 0, 60, 40), (250, 170, 300, 200), (290, 0, 300, 10), (0, 190, 20, 200)])
def test_the_whole_tag_is_inside_the_image(box):
    """A tag cut at the border would hold fewer pixels of its colour than one in the middle."""

    def tag_pixels(box):
        drawn = draw(np.zeros((200, 300, 3), np.uint8), one(box, label="pottedplant"), line_width=1)
        return (drawn == class_color(0)).all(axis=2).sum()

    corner, middle = tag_pixels(box), tag_pixels((100, 80, 140, 120))
    assert corner > 0.8 * middle - 160  # the boxes' own outlines are at most 160 pixels


def test_lines_grow_with_the_image():
    def line(size):
        drawn = draw(np.zeros((size, size, 3), np.uint8), one((size // 4, size // 4, size // 2, size // 2)))
        return int((drawn[size * 3 // 8, : size // 3] != 0).any(axis=1).sum())

    assert 1 <= line(64) <= 2 < line(1000) < line(6000)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4000), (4000, 3), (64, 64), (6000, 4000)])
def test_every_size_can_be_drawn(shape):
    height, width = shape
    assert draw(np.zeros((*shape, 3), np.uint8), one((0, 0, width, height))).shape == (*shape, 3)


def test_non_contiguous_image():
    image = np.zeros((100, 200, 3), np.uint8)[::-1, ::2, ::-1]
    assert draw(image, one((10, 10, 90, 90))).any()


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    box=st.tuples(*[st.floats(-50, 400, width=32)] * 4),
    label=st.text(max_size=40),
)
def test_no_box_or_label_is_an_error(size, box, label):
    assert draw(np.zeros((*size, 3), np.uint8), one(box, label=label)).shape == (*size, 3)


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_text_with_a_rim_is_readable_on_dark_and_on_light(scale: float):
    dark, light = np.zeros((200, 900, 3), np.uint8), np.full((200, 900, 3), 255, np.uint8)
    for image in (dark, light):
        write_text(image, "12.3 fps", (20, 120), scale)
    letters, rim = (np.nonzero((image != image[0, 0]).any(axis=(0, 2)))[0] for image in (dark, light))
    assert dark.max() > 250 and light.min() < 5
    assert rim[0] <= letters[0] and letters[-1] <= rim[-1]
    assert letters[0] - rim[0] <= 2 and rim[-1] - letters[-1] <= 2, "the last letter's rim is where the letter is"
