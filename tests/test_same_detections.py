"""The comparison of detections excuses what the last bit decides, and nothing else."""

from __future__ import annotations

import pytest

from tests.same_detections import Found, assert_same_detections

CAT = Found("cat", 0.9, (10.0, 10.0, 50.0, 50.0))
DOG = Found("dog", 0.6, (60.0, 10.0, 90.0, 40.0))
COW = Found("cow", 0.7, (0.0, 60.0, 30.0, 90.0))
WEAK = Found("cat", 0.3004, (100.0, 0.0, 120.0, 20.0))
TWIN = Found("dog", 0.6, (62.0, 14.0, 92.0, 44.0))  # IoU 0.68 with DOG, and its score
MARGINS = {"score_margin": 1e-3, "box_margin": 0.5, "score_threshold": 0.3}

SAME = {
    "equal": ([CAT, DOG], [CAT, DOG]),
    "another order": ([DOG, CAT], [CAT, DOG]),
    "within the margins": ([CAT._replace(score=0.9005), DOG], [CAT, DOG]),
    "at the threshold": ([CAT, DOG, WEAK], [CAT, DOG]),
    "a tie decides which of two stays": ([CAT, TWIN, COW], [CAT, DOG, COW]),
    "nothing": ([], []),
}
DIFFERENT = {
    "score": ([CAT._replace(score=0.88), DOG], [CAT, DOG]),
    "box": ([CAT._replace(box_xyxy=(12.0, 10.0, 50.0, 50.0)), DOG], [CAT, DOG]),
    "label": ([CAT._replace(label="cow"), DOG], [CAT, DOG]),
    "one too many": ([CAT, DOG, Found("cow", 0.5, (0.0, 0.0, 9.0, 9.0))], [CAT, DOG]),
    "one missing": ([CAT], [CAT, DOG]),
    "found twice": ([CAT, CAT, DOG], [CAT, DOG]),
    "an overlap without a tie": ([CAT, TWIN._replace(score=0.5), COW], [CAT, DOG, COW]),
    "only excuses": ([WEAK], []),
}


@pytest.mark.parametrize(("found", "expected"), SAME.values(), ids=SAME)
def test_the_same(found: list[Found], expected: list[Found]):
    assert_same_detections(found, expected, **MARGINS)


@pytest.mark.parametrize(("found", "expected"), DIFFERENT.values(), ids=DIFFERENT)
def test_not_the_same(found: list[Found], expected: list[Found]):
    with pytest.raises(AssertionError, match="no counterpart"):
        assert_same_detections(found, expected, **MARGINS)
