from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import random_boxes, slow_iou
from train.average_precision import Matches, average_precision, match_photo


def _devkit_ap(photos: list[dict], eleven_point: bool) -> float:
    """VOCdevkit's VOCevaldet.m and VOCap.m, step by step: all detections of all photos in one list, best first."""
    objects = sum(not difficult for photo in photos for difficult in photo["difficult"])
    if objects == 0:
        return math.nan
    entries = [
        (s, p, b) for p, photo in enumerate(photos) for s, b in zip(photo["scores"], photo["boxes"], strict=True)
    ]
    entries.sort(key=lambda entry: -entry[0])
    found: set[tuple[int, int]] = set()
    outcomes = []
    for _, p, box in entries:
        best, best_iou = -1, -math.inf
        for j, truth in enumerate(photos[p]["truth"]):
            if slow_iou(box, truth) > best_iou:
                best, best_iou = j, slow_iou(box, truth)
        if best_iou >= 0.5:
            if photos[p]["difficult"][best]:
                continue
            outcomes.append((p, best) not in found)
            found.add((p, best))
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


def _our_ap(photos: list[dict], eleven_point: bool) -> float:
    scores, hits = [], []
    for photo in photos:
        order = np.argsort(-photo["scores"])
        hit, counted = match_photo(photo["boxes"][order], photo["truth"], photo["difficult"])
        scores.append(photo["scores"][order][counted])
        hits.append(hit[counted])
    scores, hits = np.concatenate(scores), np.concatenate(hits)
    order = np.argsort(-scores)
    objects = sum(int((~photo["difficult"]).sum()) for photo in photos)
    return average_precision(Matches(scores[order], hits[order], objects), eleven_point)


def _photos(seed: int, truths: int, detections: int) -> list[dict]:
    """Up to so many objects and detections in each of four photos; half of the detections lie near an object."""
    rng = np.random.default_rng(seed)
    photos = []
    all_scores = rng.permutation(np.linspace(0.01, 0.99, 4 * detections))
    for p in range(4):
        truth = random_boxes(rng, int(rng.integers(truths + 1)), (60, 60), smallest=10)
        boxes = random_boxes(rng, int(rng.integers(detections + 1)), (60, 60), smallest=10)
        for i in range(len(boxes)):
            if len(truth) and rng.random() < 0.6:
                boxes[i] = truth[rng.integers(len(truth))] + rng.normal(0, 2.5, 4)
        scores = all_scores[p * detections :][: len(boxes)]
        photos.append({"truth": truth, "boxes": boxes, "scores": scores, "difficult": rng.random(len(truth)) < 0.25})
    return photos


@pytest.mark.parametrize("eleven_point", [False, True], ids=["area", "eleven points"])
@given(seed=st.integers(0, 2**32 - 1), truths=st.integers(0, 6), detections=st.integers(0, 12))
def test_ap_is_the_devkits(eleven_point: bool, seed: int, truths: int, detections: int):
    photos = _photos(seed, truths, detections)
    assert _our_ap(photos, eleven_point) == pytest.approx(_devkit_ap(photos, eleven_point), abs=1e-9, nan_ok=True)


# hit or miss, best first; objects; area AP; eleven-point AP
CURVES = {
    "all found": ([1, 1], 2, 1.0, 1.0),
    "nothing detected": ([], 3, 0.0, 0.0),
    "nothing right": ([0, 0], 3, 0.0, 0.0),
    "half found": ([1], 2, 0.5, 6 / 11),
    "miss first": ([0, 1], 1, 0.5, 0.5),
    "miss between": ([1, 0, 1], 2, 0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11),
    "misses last cost nothing": ([1, 0, 0, 0], 1, 1.0, 1.0),
    "recall exactly 0.3": ([1, 1, 1], 10, 0.3, 4 / 11),
}


@pytest.mark.parametrize(("hit", "objects", "area", "eleven"), CURVES.values(), ids=CURVES)
def test_known_curves(hit: list[int], objects: int, area: float, eleven: float):
    matches = Matches(np.linspace(0.9, 0.1, len(hit)), np.array(hit, bool), objects)
    assert average_precision(matches) == pytest.approx(area, abs=1e-12)
    assert average_precision(matches, eleven_point=True) == pytest.approx(eleven, abs=1e-12)


@pytest.mark.parametrize("hit", [[], [False]])
def test_a_class_without_objects_has_no_ap(hit: list[bool]):
    assert math.isnan(average_precision(Matches(np.full(len(hit), 0.5), np.array(hit, bool), 0)))


BOX, NEAR, HALF, FAR = (0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 5), (40, 40, 50, 50)
# detections, truths, difficult; hit, counted
PHOTOS = {
    "second on the same object is false": ([BOX, NEAR], [BOX], [False], [True, False], [True, True]),
    "equal boxes: the first is the hit": ([NEAR, NEAR], [BOX], [False], [True, False], [True, True]),
    "IoU of exactly 0.5 is a hit": ([HALF], [BOX], [False], [True], [True]),
    "difficult does not count": ([BOX, NEAR], [BOX], [True], [False, False], [False, False]),
    "goes by the largest overlap": ([BOX], [NEAR, BOX], [False, True], [False], [False]),
    "taken object is not passed on": ([BOX, BOX], [BOX, NEAR], [False, False], [True, False], [True, True]),
    "nothing there": ([BOX], np.zeros((0, 4)), [], [False], [True]),
    "nothing detected": (np.zeros((0, 4)), [BOX], [False], [], []),
    "too far": ([FAR], [BOX], [False], [False], [True]),
}


@pytest.mark.parametrize(("boxes", "truth", "difficult", "hit", "counted"), PHOTOS.values(), ids=PHOTOS)
def test_matching_in_one_photo(boxes, truth, difficult, hit, counted):
    result = match_photo(np.array(boxes, float), np.array(truth, float), np.array(difficult, bool))
    assert [array.tolist() for array in result] == [hit, counted]
