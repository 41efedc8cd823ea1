from __future__ import annotations

import numpy as np
import pytest

from sqdet_cv import Detection, Detections


@pytest.fixture
def found() -> Detections:
    boxes = np.arange(12).reshape(3, 4)
    return Detections(boxes, np.array([4, 0, 4]), np.array([0.75, 0.5, 0.25]), ("cow", "bird", "cow"))


def test_dtypes_are_fixed(found: Detections):
    assert (found.boxes_xyxy.dtype, found.class_ids.dtype, found.scores.dtype) == (np.float32, np.int64, np.float32)


def test_iteration_gives_plain_python_values(found: Detections):
    first, second, third = found
    assert first == Detection((0.0, 1.0, 2.0, 3.0), 4, 0.75, "cow")
    assert (second.label, third.score) == ("bird", 0.25)
    assert [type(value) for value in (*first.box_xyxy, first.class_id, first.score)] == [float] * 4 + [int, float]


def test_an_array_of_no_dimension_is_an_index(found: Detections):
    assert found[np.array(1)] == found[1]


def test_negative_index_and_index_beyond_the_end(found: Detections):
    assert found[-1] == found[2] == found[np.int64(2)]
    with pytest.raises(IndexError):
        found[3]


CHOICES = {
    "slice": (slice(1, None), [1, 2]),
    "reversed": (slice(None, None, -1), [2, 1, 0]),
    "mask": (np.array([True, False, True]), [0, 2]),
    "list of bools": ([True, False, True], [0, 2]),
    "indices, one twice": (np.array([2, 0, 2]), [2, 0, 2]),
    "empty mask": (np.zeros(3, bool), []),
    "empty list": ([], []),
}


@pytest.mark.parametrize(("key", "rows"), CHOICES.values(), ids=CHOICES)
def test_several_rows_give_detections(found: Detections, key: object, rows: list[int]):
    chosen = found[key]
    assert isinstance(chosen, Detections)
    assert list(chosen) == [found[i] for i in rows]
    assert chosen.boxes_xyxy.shape == (len(rows), 4)


def test_empty_lists_stand_for_no_objects():
    nothing = Detections([], [], [], ())
    assert len(nothing) == 0
    assert list(nothing) == []
    assert nothing.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("field", ["boxes_xyxy", "class_ids", "scores", "labels"])
def test_different_numbers_are_refused(found: Detections, field: str):
    values = dict(vars(found))
    values[field] = values[field][:2]
    with pytest.raises(ValueError, match="differ in number"):
        Detections(**values)
