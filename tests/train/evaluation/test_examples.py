from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv.media.annotate import class_color
from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, LABELS, make_found, make_sample
from train.evaluation.examples import Mistake, missed_objects, wrong_detections
from train.evaluation.matching import ImageMatch, match_image

LEFT, RIGHT, PART = (20, 60, 120, 180), (160, 60, 260, 180), (20, 60, 120, 100)
GREY = 118


def _photo(folder: Path, name: str, found: list[tuple], objects: list[tuple], size_wh=(300, 200)) -> ImageMatch:
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), np.full((size_wh[1], size_wh[0], 3), GREY, np.uint8))
    return match_image(make_found(found), replace(make_sample(objects), image_path=path))


@pytest.fixture
def photos(tmp_path: Path) -> list[ImageMatch]:
    return [
        _photo(tmp_path, "a", [(CAT, 0.9, LEFT), (DOG, 0.6, RIGHT)], [(CAT, LEFT), (BIRD, RIGHT)]),
        _photo(tmp_path, "b", [(CAT, 0.8, RIGHT), (CAT, 0.3, PART)], [(CAT, LEFT), (DOG, (0, 0, 40, 40))]),
    ]


def _captions(mistakes: list[Mistake]) -> list[str]:
    return [mistake.caption for mistake in mistakes]


def test_wrong_detections_come_by_score(photos: list[ImageMatch]):
    expected = [
        "background: cat 0.80 (b.png)",
        "confusion: dog 0.60; dashed: bird (a.png)",
        "localisation: cat 0.30; dashed: cat (b.png)",
    ]
    assert _captions(wrong_detections(photos, LABELS, 9)) == expected
    assert _captions(wrong_detections(photos, LABELS, 1)) == expected[:1]


def test_missed_objects_come_by_area_one_a_photo(photos: list[ImageMatch]):
    """The bird of a and the cat of b are of one size; the small dog of b would be its second."""
    assert _captions(missed_objects(photos, LABELS, 9)) == ["missed: bird (a.png)", "missed: cat (b.png)"]
    assert len(missed_objects(photos, LABELS, 1)) == 1


def test_the_object_is_dashed_and_the_detection_has_its_colour(photos: list[ImageMatch]):
    background, confused, localised = (mistake.image_bgr for mistake in wrong_detections(photos, LABELS, 9))
    x1, _, x2, y2 = LEFT
    edge = localised[y2, x1 + 4 : x2 - 4]  # the lower one, without the corners
    assert {tuple(pixel) for pixel in edge.tolist()} == {(0, 0, 0), (255, 255, 255)}
    assert (confused == class_color(DOG)).all(axis=2).sum() > 100  # the tag
    assert not (confused == class_color(CAT)).all(axis=2).any()  # the right detection is not shown
    assert (background == class_color(CAT)).all(axis=2).sum() > 100
    assert (background[:, :150] == GREY).all()  # nothing dashed there


def test_a_large_photo_is_reduced_with_its_boxes(tmp_path: Path):
    photo = _photo(tmp_path, "large", [], [(CAT, (100, 200, 800, 600))], size_wh=(1600, 800))
    image = missed_objects([photo], LABELS, 1)[0].image_bgr
    assert image.shape == (200, 400, 3)
    changed = np.nonzero((image != GREY).any(axis=2))
    assert [side.min() for side in changed] == pytest.approx([50, 25], abs=2)
    assert [side.max() for side in changed] == pytest.approx([150, 200], abs=2)


def test_a_box_on_the_border_stays_visible(tmp_path: Path):
    photo = _photo(tmp_path, "border", [], [(CAT, (0, 0, 300, 200))])
    image = missed_objects([photo], LABELS, 1)[0].image_bgr
    for edge in (image[:3], image[-3:], image[:, :3], image[:, -3:]):
        assert (edge != GREY).mean() > 0.3


def test_no_mistakes(tmp_path: Path):
    photo = _photo(tmp_path, "good", [(CAT, 0.9, LEFT)], [(CAT, LEFT)])
    assert wrong_detections([photo], LABELS, 5) == []
    assert missed_objects([photo], LABELS, 5) == []
