from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv import Detections
from sqdet_cv.boxes.postprocess import suppress
from tests.helpers import random_boxes, slow_iou
from train.detectors.fusion import FusedDetector, fuse

LABELS = ("bird", "cat", "dog")
seeds = st.integers(0, 2**32 - 1)


def make_found(*rows: tuple[int, float, tuple]) -> Detections:
    ids, scores, boxes = zip(*rows) if rows else ([], [], [])
    return Detections(boxes, ids, scores, [LABELS[i] for i in ids])


def random_found(rng: np.random.Generator, count: int) -> Detections:
    boxes, ids = random_boxes(rng, count, (60, 60), smallest=15), rng.integers(0, 2, count)
    scores = np.sort(rng.uniform(0.05, 1, count))[::-1]
    return Detections(boxes, ids, scores, [LABELS[i] for i in ids])


def test_a_box_that_two_see_lies_between_theirs():
    """Weights 0.6 and 0.2; a third detector sees nothing, so the score is a third of their sum."""
    one, two = make_found((1, 0.6, (0, 0, 40, 40))), make_found((1, 0.2, (4, 0, 44, 48)))
    (fused,) = fuse([one, two, make_found()])
    np.testing.assert_allclose(fused.box_xyxy, (1, 0, 41, 42), rtol=1e-6)
    np.testing.assert_allclose(fused.score, 0.8 / 3, rtol=1e-6)
    assert (fused.class_id, fused.label) == (1, "cat")


def test_classes_and_distant_boxes_stay_apart():
    one = make_found((1, 0.9, (0, 0, 40, 40)), (2, 0.5, (0, 0, 40, 40)))
    two = make_found((1, 0.8, (50, 50, 90, 90)))
    fused = fuse([one, two])
    np.testing.assert_allclose(fused.scores, [0.45, 0.4, 0.25])
    assert fused.labels == ("cat", "cat", "dog")


def test_nothing_is_nothing():
    assert len(fuse([make_found(), make_found()])) == 0


def _slow_fuse(answers: list[Detections], same_iou: float) -> list[tuple[int, float, np.ndarray]]:
    """The words of `fuse` with lists of members."""
    rows = sorted((row for one in answers for row in one), key=lambda row: -row.score)
    groups: list[tuple[int, list]] = []
    mean = lambda members: np.average([m.box_xyxy for m in members], axis=0, weights=[m.score for m in members])  # noqa: E731
    for row in rows:
        near = [(slow_iou(row.box_xyxy, mean(members)), members) for c, members in groups if c == row.class_id]
        iou, members = max(near, key=lambda pair: pair[0], default=(0, None))
        if iou > same_iou:
            members.append(row)
        else:
            groups.append((row.class_id, [row]))
    return [(c, min(sum(m.score for m in members) / len(answers), 1), mean(members)) for c, members in groups]


@given(seeds, st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_fusion_is_the_loop_over_boxes(seed: int, counts: list[int]):
    rng = np.random.default_rng(seed)
    answers = [random_found(rng, count) for count in counts]
    fused, expected = fuse(answers, 0.55), _slow_fuse(answers, 0.55)
    expected.sort(key=lambda row: -row[1])
    assert len(fused) == len(expected)
    np.testing.assert_allclose(fused.scores, [score for _, score, _ in expected], rtol=1e-5)
    for one, (class_id, _, box) in zip(fused, expected, strict=True):
        assert one.class_id == class_id
        np.testing.assert_allclose(one.box_xyxy, box, rtol=1e-4, atol=1e-4)


@given(seeds, st.integers(0, 6))
def test_one_detector_is_left_as_it_is(seed: int, count: int):
    """Its own suppression has left no two boxes of a class that overlap so far."""
    found = random_found(np.random.default_rng(seed), count)
    found = found[suppress(found.boxes_xyxy, found.class_ids, found.scores, 0.5)]
    alone = fuse([found], 0.55)
    np.testing.assert_array_equal(alone.boxes_xyxy, found.boxes_xyxy)
    np.testing.assert_array_equal(alone.scores, found.scores)
    assert alone.labels == found.labels


def test_detectors_are_asked_together_about_both_sides_of_the_mirror():
    """One sees a cat wherever it is brightest, the other a dog at the left: in the mirror it is at the right."""

    def cat_detector(image: np.ndarray) -> Detections:
        x = int(image[0, :, 0].argmax())
        return Detections([(x, 0, x + 1, 4)], [1], [0.8], ["cat"])

    def dog_detector(image: np.ndarray) -> Detections:
        return Detections([(0, 0, 3, 4)], [2], [0.4], ["dog"])

    image = np.zeros((4, 10, 3), np.uint8)
    image[:, 2] = 255
    found = FusedDetector([cat_detector, dog_detector], mirror=True)(image)
    assert [(one.label, one.box_xyxy) for one in found] == [
        ("cat", (2, 0, 3, 4)),
        ("dog", (0, 0, 3, 4)),
        ("dog", (7, 0, 10, 4)),
    ]
    np.testing.assert_allclose(found.scores, [0.4, 0.1, 0.1])
    assert FusedDetector([cat_detector])(image).scores.tolist() == [np.float32(0.8)]
