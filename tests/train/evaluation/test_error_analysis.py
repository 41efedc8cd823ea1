from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, LABELS, make_found, make_sample, random_photos
from train.evaluation.error_analysis import COLUMNS, confusion_matrix, split_errors
from train.evaluation.matching import Outcome, match_image

BOX, FAR, OTHER = (0, 0, 10, 10), (40, 40, 50, 50), (60, 60, 80, 80)
# Image 1: a cat found twice, a dog called a cat, a bird badly boxed. Image 2: a dog out of nothing, a missed cat, and
# a difficult bird that is found.
PHOTOS = [
    match_image(
        make_found([(CAT, 0.9, BOX), (CAT, 0.8, BOX), (CAT, 0.7, FAR), (BIRD, 0.6, (60, 60, 80, 66))]),
        make_sample([(CAT, BOX), (DOG, FAR), (BIRD, OTHER)]),
    ),
    match_image(
        make_found([(DOG, 0.9, FAR), (BIRD, 0.8, OTHER)]),
        make_sample([(CAT, BOX), (BIRD, OTHER)], difficult=[1]),
    ),
]


def test_the_split_of_hand_made_photos():
    split = split_errors(PHOTOS, 3)
    assert {COLUMNS[kind]: counts.tolist() for kind, counts in split.detections.items()} == {
        "right": [0, 1, 0],
        "localisation": [1, 0, 0],
        "confusion": [0, 1, 0],
        "duplicate": [0, 1, 0],
        "background": [0, 0, 1],
    }
    assert split.missed.tolist() == [1, 1, 1]
    assert split.objects.tolist() == [1, 2, 1]


def test_the_confusion_matrix_of_hand_made_photos():
    assert confusion_matrix(PHOTOS, 3).tolist() == [
        # said to be bird, cat, dog, or missed
        [0, 0, 0, 1],  # bird
        [0, 1, 0, 1],  # cat
        [0, 1, 0, 1],  # dog
        [1, 1, 1, 0],  # nothing: the badly boxed bird, the second cat, the dog out of nothing
    ]


def test_no_photos():
    split = split_errors([], 3)
    assert all(counts.tolist() == [0, 0, 0] for counts in (*split.detections.values(), split.missed, split.objects))
    assert not confusion_matrix([], 3).any()


@given(seed=st.integers(0, 2**32 - 1))
def test_every_detection_and_every_object_is_counted_once(seed: int):
    photos = [match_image(*pair) for pair in random_photos(seed, objects=5, detections=10)]
    split, matrix = split_errors(photos, len(LABELS)), confusion_matrix(photos, len(LABELS))
    objects = np.zeros(3, int)
    counted = np.zeros(3, int)
    for photo in photos:
        np.add.at(objects, photo.sample.class_ids[~photo.sample.ignore], 1)
        np.add.at(counted, photo.detections.class_ids[photo.outcomes != Outcome.NOT_COUNTED], 1)
    right = split.detections[Outcome.RIGHT]
    np.testing.assert_array_equal(split.objects, objects)
    np.testing.assert_array_equal(right + split.missed, objects)
    np.testing.assert_array_equal(sum(split.detections.values()), counted)
    np.testing.assert_array_equal(matrix[:, :3].sum(axis=0), counted)
    np.testing.assert_array_equal(np.diag(matrix)[:3], right)
    np.testing.assert_array_equal(matrix[:3, 3], split.missed)
