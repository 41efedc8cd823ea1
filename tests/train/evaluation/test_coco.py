from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqdet_cv.detections import Detections
from tests.helpers import slow_iou
from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, LABELS, make_found, make_sample, random_photos
from train.common.errors import TrainError
from train.data.formats.voc import Sample
from train.evaluation.coco import SIZES, check_pycocotools, coco_ap

pytest.importorskip("pycocotools")


def _share_inside(box: np.ndarray, crowd: np.ndarray) -> float:
    """The share of a box that lies in a crowd: COCO's overlap with one."""
    width = min(box[2], crowd[2]) - max(box[0], crowd[0])
    height = min(box[3], crowd[3]) - max(box[1], crowd[1])
    return max(width, 0) * max(height, 0) / float((box[2] - box[0]) * (box[3] - box[1]))


def _slow_ap(photos: list[tuple[Detections, Sample]], class_id: int, threshold: float) -> float:
    """COCO's rules, written out from the description of the challenge: the best free object at `threshold` or more,
    crowds only where there is none; precision at 101 recalls."""
    entries, objects = [], 0
    for found, sample in photos:
        if not sample.labelled[class_id]:
            continue
        truth = [(b, d) for b, c, d in zip(sample.boxes_xyxy, sample.class_ids, sample.ignore) if c == class_id]
        objects += sum(not difficult for _, difficult in truth)
        free = {j for j, (_, difficult) in enumerate(truth) if not difficult}
        for detection in found:
            if detection.class_id != class_id:
                continue
            box = np.float64(detection.box_xyxy)
            overlaps = {j: slow_iou(box, np.float64(truth[j][0])) for j in free}
            # of equals COCO takes the last
            best = max(overlaps, key=lambda j: (overlaps[j], j), default=None)
            if best is not None and overlaps[best] >= threshold:
                free.remove(best)
                entries.append((detection.score, True))
            elif all(_share_inside(box, np.float64(b)) < threshold for b, difficult in truth if difficult):
                entries.append((detection.score, False))
    if objects == 0:
        return math.nan
    entries.sort(key=lambda entry: -entry[0])
    points, hits = [], 0
    for n, (_, true_positive) in enumerate(entries, start=1):
        hits += true_positive
        points.append((hits / objects, hits / n))
    return sum(max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)) / 101


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), objects=st.integers(0, 6), detections=st.integers(0, 12))
def test_ap_is_that_of_cocos_rules_written_out(seed: int, objects: int, detections: int):
    photos = random_photos(seed, objects, detections)
    result = coco_ap(*zip(*photos), LABELS)
    for class_id, ap in enumerate(result.class_ap):
        expected = np.mean([_slow_ap(photos, class_id, threshold) for threshold in np.linspace(0.5, 0.95, 10)])
        assert ap == pytest.approx(expected, abs=1e-6, nan_ok=True)
    known = [ap for ap in result.class_ap if not math.isnan(ap)]
    assert result.ap["all"] == pytest.approx(np.mean(known) if known else math.nan, nan_ok=True)


# the height that a detection finds of a box of 100 px; the thresholds 0.5, 0.55 ... that it reaches
@pytest.mark.parametrize(("height", "reached"), [(100, 10), (82, 7), (52, 1), (48, 0)])
def test_the_mean_over_thresholds(height: int, reached: int):
    result = coco_ap([make_found([(CAT, 0.9, (0, 0, 100, height))])], [make_sample([(CAT, (0, 0, 100, 100))])], LABELS)
    assert result.class_ap[CAT] == pytest.approx(reached / 10)
    assert result.ap_50["all"] == pytest.approx(float(reached > 0))
    assert math.isnan(result.class_ap[DOG])


def test_sizes_are_apart():
    """A small, a medium and two large cats: only the small one and one large one are found."""
    small, medium, large, second = (0, 0, 20, 20), (40, 0, 90, 50), (100, 0, 250, 150), (100, 200, 250, 350)
    found = make_found([(CAT, 0.9, small), (CAT, 0.8, large)])
    sample = make_sample([(CAT, small), (CAT, medium), (CAT, large), (CAT, second)])
    result = coco_ap([found], [sample], LABELS)
    assert result.objects == {"all": 4, "small": 1, "medium": 1, "large": 2}
    assert result.ap == pytest.approx({"all": 51 / 101, "small": 1, "medium": 0, "large": 51 / 101})
    assert list(result.ap_50) == list(SIZES)


def test_difficult_and_unlabelled_do_not_count():
    box, far = (0, 0, 50, 50), (100, 100, 150, 150)
    found = [make_found([(CAT, 0.9, far), (BIRD, 0.9, far), (CAT, 0.8, box)])]
    result = coco_ap(found, [make_sample([(CAT, box), (CAT, far)], difficult=[1], labelled=[CAT])], LABELS)
    assert result.class_ap[CAT] == pytest.approx(1)
    assert math.isnan(result.class_ap[BIRD])
    assert result.objects["all"] == 1


def test_nothing_detected_and_nothing_there(capsys):
    nothing = make_found([])
    assert coco_ap([nothing], [make_sample([(CAT, (0, 0, 9, 9))])], LABELS).ap["all"] == 0
    assert math.isnan(coco_ap([nothing], [make_sample([])], LABELS).ap["all"])
    assert capsys.readouterr().out == ""


def test_without_pycocotools(monkeypatch):
    check_pycocotools()
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(TrainError, match=r"needs pycocotools: pip install '\.\[train\]'"):
        check_pycocotools()
