from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.errors import SpecError
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from tests.helpers import make_spec

sides = st.integers(1, 2000)
specs = st.tuples(sides, sides, st.none() | st.integers(0, 500)).flatmap(
    lambda values: st.builds(
        ClassifierSpec,
        labels=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5),
        input_wh=st.just(values[:2]),
        mean_bgr=st.tuples(*[st.floats(-300, 300)] * 3),
        scale=st.floats(1e-4, 10) | st.floats(-10, -1e-4),
        rgb=st.booleans(),
        resize=st.just("stretch" if values[2] is None else "center_crop"),
        resize_side=st.just(None if values[2] is None else max(values[:2]) + values[2]),
    )
)


def make(**changes: object) -> ClassifierSpec:
    return ClassifierSpec(**({"labels": ("cat", "dog"), "input_wh": (48, 32)} | changes))


@given(specs)
def test_json_gives_an_equal_spec_back(spec: ClassifierSpec):
    assert ClassifierSpec.from_json(spec.to_json()) == spec


def test_values_are_normalised_to_tuples():
    spec = make(labels=["a", "b"], input_wh=[48, 32], mean_bgr=[1, 2, 3])
    assert (spec.labels, spec.input_wh, spec.mean_bgr) == (("a", "b"), (48, 32), (1.0, 2.0, 3.0))
    assert spec.num_classes == 2
    assert hash(spec) == hash(make(labels=("a", "b"), mean_bgr=(1, 2, 3)))


def test_two_classes_may_have_one_name():
    """ImageNet has two cranes and two maillots."""
    assert make(labels=("crane", "crane")).num_classes == 2


BAD_FIELDS = {
    "no labels": {"labels": ()},
    "labels are one string": {"labels": "cat"},
    "empty label": {"labels": ("cat", " ")},
    "three input sizes": {"input_wh": (48, 32, 3)},
    "zero width": {"input_wh": (0, 32)},
    "gigabytes": {"input_wh": (200_000, 200_000)},
    "gigabytes before the crop": {"resize": "center_crop", "resize_side": 200_000},
    "mean of one channel": {"mean_bgr": (104.0,)},
    "scale zero": {"scale": 0},
    "rgb as number": {"rgb": 1},
    "unknown rule": {"resize": "letterbox"},
    "side without crop": {"resize_side": 64},
    "crop without side": {"resize": "center_crop"},
    "side below the crop's": {"resize": "center_crop", "resize_side": 47},
    "fractional side": {"resize": "center_crop", "resize_side": 64.5},
    "side as bool": {"input_wh": (1, 1), "resize": "center_crop", "resize_side": True},
}


@pytest.mark.parametrize("changes", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_bad_field_is_named(changes: dict):
    name = "resize_side" if changes.get("resize") == "center_crop" else list(changes)[-1]
    with pytest.raises(SpecError, match=rf"model spec: {name} is .*, expected "):
        make(**changes)


def _edited(**changes: object) -> str:
    values = json.loads(make().to_json()) | changes
    return json.dumps({name: value for name, value in values.items() if value != "absent"})


BAD_JSON = {
    "a detector's spec": (make_spec().to_json(), "not a classifier spec: it has no key 'sqdet_classifier_spec'"),
    "later version": (_edited(sqdet_classifier_spec=2), "version 2; this sqdet_cv reads version 1"),
    "unknown keys": (_edited(grid_hw=[1, 1]), "unknown keys in the classifier spec: grid_hw"),
    "missing keys": (_edited(labels="absent"), "keys missing from the classifier spec: labels"),
    "bad value": (_edited(resize=None), "resize is None"),
}


@pytest.mark.parametrize(("text", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_refused(text: str, message: str):
    with pytest.raises(SpecError, match=message):
        ClassifierSpec.from_json(text)


def test_keys_with_a_default_may_be_missing():
    assert ClassifierSpec.from_json(_edited(scale="absent", resize="absent", resize_side="absent")) == make()
