from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.detections import Detections
from tests.helpers import slow_iou
from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, LABELS, make_found, make_sample, random_photos
from train.data.formats.voc import Sample
from train.evaluation.evaluate import evaluate_fully
from train.evaluation.matching import Outcome


def _devkit_ap(photos: list[tuple[Detections, Sample]], class_id: int, eleven_point: bool) -> float:
    """VOCdevkit's VOCevaldet.m and VOCap.m, step by step: all detections of all images in one list, best first."""
    truth = {  # image: boxes and difficult
        p: [(b, d) for b, c, d in zip(sample.boxes_xyxy, sample.class_ids, sample.ignore) if c == class_id]
        for p, (_, sample) in enumerate(photos)
        if sample.labelled[class_id]
    }
    objects = sum(not difficult for boxes in truth.values() for _, difficult in boxes)
    if objects == 0:
        return math.nan
    entries = [(d.score, p, d.box_xyxy) for p in truth for d in photos[p][0] if d.class_id == class_id]
    entries.sort(key=lambda entry: -entry[0])
    taken: set[tuple[int, int]] = set()
    outcomes = []
    for _, p, box in entries:
        best, best_iou = -1, -math.inf
        for j, (true_box, _) in enumerate(truth[p]):
            if slow_iou(box, true_box) > best_iou:
                best, best_iou = j, slow_iou(box, true_box)
        if best_iou >= 0.5:
            if truth[p][best][1]:
                continue
            outcomes.append((p, best) not in taken)
            taken.add((p, best))
        else:
            outcomes.append(False)
    points, hits = [], 0
    for n, outcome in enumerate(outcomes, start=1):
        hits += outcome
        points.append((hits / objects, hits / n))

    def best_from(recall: float) -> float:
        return max((p for r, p in points if r >= recall - 1e-12), default=0.0)

    if eleven_point:
        return sum(best_from(i / 10) for i in range(11)) / 11
    area, last = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - last) * best_from(recall)
        last = recall
    return area


@given(seed=st.integers(0, 2**32 - 1), objects=st.integers(0, 6), detections=st.integers(0, 12))
def test_ap_is_the_devkits(seed: int, objects: int, detections: int):
    photos = random_photos(seed, objects, detections)
    evaluation = evaluate_fully(*zip(*photos), LABELS)
    for class_id, result in enumerate(evaluation.classes):
        for ours, eleven_point in ((result.ap_area, False), (result.ap_07, True)):
            assert ours == pytest.approx(_devkit_ap(photos, class_id, eleven_point), abs=1e-6, nan_ok=True)


BOX, FAR = (0, 0, 10, 10), (40, 40, 50, 50)
FOUND = [make_found([(CAT, 0.9, BOX), (DOG, 0.8, BOX), (CAT, 0.1, FAR)]), make_found([(DOG, 0.6, FAR)])]
SAMPLES = [make_sample([(CAT, BOX)]), make_sample([(DOG, FAR), (BIRD, BOX)])]


def test_the_threshold_is_the_best_for_all_classes_together():
    """Right are the 1st and 3rd of four, of 3 objects: F1 is 2/4, 2/5, 4/6, 4/7, best at the third score."""
    evaluation = evaluate_fully(FOUND, SAMPLES, LABELS)
    assert evaluation.score == pytest.approx(0.6)
    assert evaluation.all_classes.best_threshold()[1] == pytest.approx(2 / 3)
    assert [len(photo.detections) for photo in evaluation.images] == [3, 1]
    assert [len(photo.detections) for photo in evaluation.kept] == [2, 1]
    assert evaluation.errors.detections[Outcome.RIGHT].tolist() == [0, 1, 1]


def test_a_threshold_can_be_given():
    """At 0.7 the dog of the second image is missed; the APs do not change."""
    given_score, best = evaluate_fully(FOUND, SAMPLES, LABELS, 0.7), evaluate_fully(FOUND, SAMPLES, LABELS)
    assert given_score.errors.missed.tolist() == [1, 0, 1]
    assert given_score.confusion[CAT].tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal([r.ap_area for r in given_score.classes], [r.ap_area for r in best.classes])
