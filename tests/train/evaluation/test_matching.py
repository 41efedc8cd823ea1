from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, make_found, make_sample, random_photos
from train.evaluation.matching import Outcome, match_image, rank

RIGHT, DUPLICATE, CONFUSION = Outcome.RIGHT, Outcome.DUPLICATE, Outcome.CONFUSION
LOCALISATION, BACKGROUND, NOT_COUNTED = Outcome.LOCALISATION, Outcome.BACKGROUND, Outcome.NOT_COUNTED
# IoU with BOX: NEAR 0.9, HALF exactly 0.5, THIRD 0.3, TENTH exactly 0.1, SLIVER 0.05, FAR 0
BOX, NEAR, HALF, THIRD = (0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 5), (0, 0, 10, 3)
TENTH, SLIVER, FAR = (0, 0, 10, 1), (0, 0, 5, 1), (40, 40, 50, 50)

# detections of a cat, best first, unless named; objects; difficult; outcomes and objects that they belong to
PHOTOS = {
    "second on the same object": ([BOX, NEAR], [(CAT, BOX)], [], [RIGHT, DUPLICATE], [0, 0]),
    "equal boxes: the first is right": ([NEAR, NEAR], [(CAT, BOX)], [], [RIGHT, DUPLICATE], [0, 0]),
    "IoU of exactly 0.5": ([HALF], [(CAT, BOX)], [], [RIGHT], [0]),
    "difficult takes any number": ([BOX, NEAR], [(CAT, BOX)], [0], [NOT_COUNTED, NOT_COUNTED], [0, 0]),
    "goes by the largest overlap": ([BOX], [(CAT, NEAR), (CAT, BOX)], [1], [NOT_COUNTED], [1]),
    "a taken object is not passed on": ([BOX, BOX], [(CAT, BOX), (CAT, NEAR)], [], [RIGHT, DUPLICATE], [0, 0]),
    "equal overlap: the first object": ([BOX], [(CAT, BOX), (CAT, BOX)], [], [RIGHT], [0]),
    "badly placed": ([THIRD], [(CAT, BOX)], [], [LOCALISATION], [0]),
    "IoU of exactly 0.1": ([TENTH], [(CAT, BOX)], [], [LOCALISATION], [0]),
    "hardly touching": ([SLIVER], [(CAT, BOX)], [], [BACKGROUND], [-1]),
    "too far": ([FAR], [(CAT, BOX)], [], [BACKGROUND], [-1]),
    "wrong name": ([NEAR], [(DOG, BOX)], [], [CONFUSION], [0]),
    "wrong name, badly placed": ([THIRD], [(DOG, BOX)], [], [BACKGROUND], [-1]),
    "right name before wrong name": ([HALF], [(DOG, HALF), (CAT, BOX)], [], [RIGHT], [1]),
    "wrong name before bad place": ([THIRD], [(CAT, BOX), (DOG, THIRD)], [], [CONFUSION], [1]),
    "nothing there": ([BOX], [], [], [BACKGROUND], [-1]),
    "nothing detected": ([], [(CAT, BOX)], [], [], []),
}


@pytest.mark.parametrize(("boxes", "objects", "difficult", "outcomes", "object_ids"), PHOTOS.values(), ids=PHOTOS)
def test_matching_in_one_photo(boxes, objects, difficult, outcomes, object_ids):
    found = make_found([(CAT, 0.9 - 0.1 * i, box) for i, box in enumerate(boxes)])
    photo = match_image(found, make_sample(objects, difficult))
    assert photo.outcomes.tolist() == outcomes
    assert photo.object_ids.tolist() == object_ids


def test_classes_the_photo_is_not_labelled_for_are_left_out():
    """The cat's box is no bird and no dog that anybody knows of: only the cat counts, and it has no other name."""
    found = make_found([(BIRD, 0.9, FAR), (CAT, 0.8, BOX), (DOG, 0.7, BOX)])
    sample = make_sample([(DOG, FAR), (CAT, BOX)], labelled=[CAT])
    photo = match_image(found, sample)
    assert (photo.detections.class_ids.tolist(), photo.outcomes.tolist()) == ([CAT], [RIGHT])
    assert photo.sample.class_ids.tolist() == [CAT]


def test_missed_objects():
    objects = [(CAT, BOX), (CAT, FAR), (DOG, (60, 60, 70, 70)), (BIRD, (80, 80, 90, 90))]
    found = make_found([(CAT, 0.9, BOX), (CAT, 0.8, (60, 60, 70, 70))])  # the dog is seen, but as a cat
    photo = match_image(found, make_sample(objects, difficult=[3]))
    assert photo.missed().tolist() == [False, True, True, False]


@given(seed=st.integers(0, 2**32 - 1), score=st.sampled_from([0.05, 0.3, 0.5, 0.95]))
def test_cutting_after_matching_is_cutting_before(seed: int, score: float):
    for found, sample in random_photos(seed, objects=5, detections=10):
        after = match_image(found, sample).above(score)
        before = match_image(found[found.scores >= score], sample)
        assert after.outcomes.tolist() == before.outcomes.tolist()
        assert after.object_ids.tolist() == before.object_ids.tolist()
        assert after.missed().tolist() == before.missed().tolist()


def test_ranking_over_photos():
    photos = [
        match_image(make_found([(CAT, 0.9, FAR), (CAT, 0.5, BOX), (DOG, 0.4, BOX)]), make_sample([(CAT, BOX)])),
        match_image(make_found([(CAT, 0.5, FAR), (CAT, 0.3, BOX)]), make_sample([(CAT, BOX), (DOG, FAR)], [0])),
    ]
    cats = rank(photos, CAT)
    np.testing.assert_allclose(cats.scores, [0.9, 0.5, 0.5], atol=1e-6)  # that at 0.3 is on a difficult one
    assert (cats.true_positive.tolist(), cats.objects) == ([False, True, False], 1)
    all_classes = rank(photos)
    assert (all_classes.true_positive.tolist(), all_classes.objects) == ([False, True, False, False], 2)
    birds = rank(photos, BIRD)
    assert (len(birds.scores), birds.objects) == (0, 0)
