from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.boxes.ops import decode
from sqdet_cv.errors import SpecError
from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from sqdet_cv.spec.grid import Grid
from tests.helpers import make_spec

positive = st.floats(0.01, 1e4)
grids = st.builds(
    Grid,
    hw=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    anchors_wh=st.lists(st.tuples(positive, positive), min_size=1, max_size=4),
    inset=st.integers(0, 3),
    transposed=st.booleans(),
) | st.builds(
    Grid,
    hw=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    anchors_wh=st.lists(st.tuples(positive, positive), min_size=1, max_size=2),
    stride=st.integers(1, 64) | st.floats(0.5, 64),
    transposed=st.booleans(),
)
specs = st.builds(
    ModelSpec,
    labels=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=5, unique=True),
    input_wh=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    grids=st.lists(grids, min_size=1, max_size=3),
    mean_bgr=st.tuples(*[st.floats(-300, 300)] * 3),
    scale=st.floats(1e-4, 10) | st.floats(-10, -1e-4),
    rgb=st.booleans(),
    delta_order=st.sampled_from(["xywh", "xyhw"]),
    size_delta_cap=st.floats(0.1, 50) | st.just(math.inf),
)

BAD_FIELDS = {
    "no labels": ("labels", ()),
    "labels are one string": ("labels", "cat"),
    "empty label": ("labels", ("cat", " ")),
    "label that is no text": ("labels", ("cat", "\udcf6")),
    "number as label": ("labels", ("cat", 3)),
    "label twice": ("labels", ("cat", "dog", "cat")),
    "half a surrogate pair": ("labels", ("\ud800cat",)),
    "three input sizes": ("input_wh", (96, 64, 3)),
    "zero width": ("input_wh", (0, 64)),
    "gigabytes": ("input_wh", (200_000, 200_000)),
    "fractional width": ("input_wh", (96.5, 64)),
    "infinite width": ("input_wh", (math.inf, 64)),
    "input as text": ("input_wh", "88"),
    "input is one number": ("input_wh", 96),
    "negative rows": ("grid_hw", (-3, 4)),
    "no anchors": ("anchors_wh", ()),
    "flat anchors": ("anchors_wh", (20.0, 30.0)),
    "zero anchor": ("anchors_wh", ((20.0, 0.0),)),
    "anchor not finite": ("anchors_wh", ((20.0, math.nan),)),
    "anchor with three sizes": ("anchors_wh", ((20.0, 30.0, 1.0),)),
    "anchor as text": ("anchors_wh", ("88",)),
    "mean of one channel": ("mean_bgr", (104.0,)),
    "mean not a number": ("mean_bgr", (104.0, None, 123.0)),
    "mean as text": ("mean_bgr", "123"),
    "scale zero": ("scale", 0),
    "scale not finite": ("scale", math.inf),
    "scale beyond a float": ("scale", 10**400),
    "rgb as number": ("rgb", 1),
    "transposed as text": ("grid_transposed", "yes"),
    "negative inset": ("grid_inset", -1),
    "fractional inset": ("grid_inset", 0.5),
    "inset as bool": ("grid_inset", True),
    "unknown delta order": ("delta_order", "yxhw"),
    "cap zero": ("size_delta_cap", 0),
    "cap nan": ("size_delta_cap", math.nan),
    "cap as bool": ("size_delta_cap", True),
    "cap as text": ("size_delta_cap", "4"),
}


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_bad_field_is_named(name: str, value: object):
    with pytest.raises(SpecError, match=rf"model spec: {name} is .*, expected "):
        make_spec(**{name: value})


def test_labels_of_other_scripts_are_read_by_opencv_too(tmp_path):
    labels = ("Köter", "猫", "🐈 zwei", 'a "b"')
    spec = make_spec(labels=labels)
    spec.save(tmp_path / "a.json")
    storage = cv2.FileStorage(str(tmp_path / "a.json"), cv2.FileStorage_READ | cv2.FileStorage_FORMAT_JSON)
    node = storage.getNode("labels")
    assert tuple(node.at(i).string() for i in range(node.size())) == labels
    assert ModelSpec.load(tmp_path / "a.json") == spec
    assert ModelSpec.from_json(json.dumps(json.loads(spec.to_json()))) == spec, "as versions before wrote it"


def test_values_are_normalised_to_tuples():
    spec = make_spec(labels=["a", "b"], input_wh=[96, 64], anchors_wh=np.array([[1, 2]]), mean_bgr=[1, 2, 3])
    assert (spec.labels, spec.input_wh) == (("a", "b"), (96, 64))
    assert (spec.grid.anchors_wh, spec.mean_bgr) == (((1.0, 2.0),), (1.0, 2.0, 3.0))
    assert hash(spec) == hash(make_spec(labels=("a", "b"), anchors_wh=((1, 2),), mean_bgr=(1, 2, 3)))


def test_voc_labels_are_the_twenty_in_alphabetical_order():
    assert len(VOC_LABELS) == 20
    assert list(VOC_LABELS) == sorted(VOC_LABELS)


# -- JSON -----------------------------------------------------------------------------------------------------


@given(specs)
def test_json_gives_an_equal_spec_back(spec: ModelSpec):
    text = spec.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert ModelSpec.from_json(text) == spec


def _edited(**changes: object) -> str:
    values = json.loads(make_spec().to_json()) | changes
    return json.dumps({name: value for name, value in values.items() if value != "absent"})


BAD_JSON = {
    "not JSON": ("{", "not JSON"),
    "a list": ("[1]", "no key 'sqdet_spec'"),
    "no version": (_edited(sqdet_spec="absent"), "no key 'sqdet_spec'"),
    "later version": (_edited(sqdet_spec=3), "version 3; this sqdet_cv reads version 1 and 2"),
    "unknown keys": (_edited(zebra=1, colour=2), "unknown keys in the model spec: colour, zebra"),
    "missing keys": (_edited(labels="absent", grid_hw="absent"), "keys missing from the model spec: grid_hw, labels"),
    "bad value": (_edited(rgb="no"), "rgb is 'no'"),
    "null": (_edited(labels=None), "labels is None"),
}


@pytest.mark.parametrize(("text", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_refused(text: str, message: str):
    with pytest.raises(SpecError, match=message):
        ModelSpec.from_json(text)


def test_one_spread_grid_is_written_as_version_1_and_more_as_version_2():
    """What older versions of the package can read, they can read."""
    values = json.loads(make_spec().to_json())
    assert (values["sqdet_spec"], values["grid_hw"]) == (1, [3, 4])
    several = replace(make_spec(), grids=(Grid((3, 4), ((8, 8),), stride=8), Grid((2, 2), ((16, 16),), stride=16)))
    values = json.loads(several.to_json())
    assert values["sqdet_spec"] == 2
    assert values["grids"][1] == {"hw": [2, 2], "anchors_wh": [[16, 16]], "stride": 16, "inset": 0, "transposed": False}


BAD_GRIDS = {
    "none": ([], "grids is"),
    "no list": ({"hw": [1, 1]}, "grids is"),
    "unknown key": ([{"hw": [1, 1], "anchors_wh": [[1, 1]], "colour": 1}], "a grid is"),
    "missing key": ([{"hw": [1, 1]}], "a grid is"),
    "a number": ([3], "a grid is"),
    "zero stride": ([{"hw": [1, 1], "anchors_wh": [[1, 1]], "stride": 0}], "stride is 0"),
    "stride as text": ([{"hw": [1, 1], "anchors_wh": [[1, 1]], "stride": "8"}], "stride is"),
    "inset and stride": ([{"hw": [1, 1], "anchors_wh": [[1, 1]], "stride": 8, "inset": 1}], "grid_inset is 1"),
}


@pytest.mark.parametrize(("grids", "message"), BAD_GRIDS.values(), ids=BAD_GRIDS)
def test_bad_grids_are_refused(grids: object, message: str):
    text = json.dumps({"sqdet_spec": 2, "labels": ["a"], "input_wh": [8, 8], "grids": grids})
    with pytest.raises(SpecError, match=message):
        ModelSpec.from_json(text)


def test_the_one_grid_of_several_is_an_error():
    spec = replace(make_spec(), grids=(Grid((3, 4), ((8, 8),), stride=8),) * 2)
    with pytest.raises(SpecError, match="2 grids"):
        _ = spec.grid


def test_keys_with_a_default_may_be_missing():
    assert ModelSpec.from_json(_edited(scale="absent", rgb="absent", size_delta_cap="absent")) == make_spec()


def test_saved_file_loads(tmp_path):
    make_spec(rgb=True).save(tmp_path / "new" / "m.json")
    assert ModelSpec.load(tmp_path / "new" / "m.json") == make_spec(rgb=True)


BAD_FILES = {
    "missing": (None, "No such file"),
    "not JSON": (b"hello", "not JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "utf-8"),
    "bad field": (_edited(scale=0).encode(), "scale is 0"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_file_errors_name_the_file(tmp_path, content: bytes | None, message: str):
    path = tmp_path / "odd.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        ModelSpec.load(path)
    assert str(caught.value).startswith(f"{path}: ")


# -- anchors --------------------------------------------------------------------------------------------------


@given(specs)
def test_anchors_follow_the_rule_in_the_documented_order(spec: ModelSpec):
    expected = []
    for grid in spec.grids:
        rows, columns = grid.hw
        across, down = (rows, columns) if grid.transposed else (columns, rows)
        if grid.stride is None:
            border = 1 + 2 * grid.inset
            x_of = [(i + 1 + grid.inset) * spec.input_wh[0] / (across + border) for i in range(across)]
            y_of = [(i + 1 + grid.inset) * spec.input_wh[1] / (down + border) for i in range(down)]
        else:
            x_of, y_of = [i * grid.stride for i in range(across)], [i * grid.stride for i in range(down)]
        for row in range(rows):
            for column in range(columns):
                x, y = (x_of[row], y_of[column]) if grid.transposed else (x_of[column], y_of[row])
                expected += [(x, y, w, h) for w, h in grid.anchors_wh]
    assert spec.num_anchors == len(expected)
    np.testing.assert_allclose(spec.anchors_cxcywh, expected, rtol=1e-6)


def test_strides_are_the_distances_of_neighbouring_cells():
    spec = replace(make_spec(), grids=(Grid((3, 4), ((8, 8),) * 2, stride=8), *make_spec().grids))
    assert spec.anchor_strides[:24].tolist() == [8] * 24
    steps = (
        np.diff(spec.anchors_cxcywh[24:].reshape(3, 4, 2, 4), axis=1)[..., 0],
        np.diff(spec.anchors_cxcywh[24:].reshape(3, 4, 2, 4), axis=0)[..., 1],
    )
    np.testing.assert_allclose(spec.anchor_strides[24:], max(steps[0].max(), steps[1].max()), rtol=1e-6)


def test_the_2017_module_geometry():
    """InferBbox: cell (row h, column w) has its centre at x = (h + 1) * 416 / 24, y = (w + 1) * 416 / 24."""
    shapes = ((377, 371), (64, 118), (129, 326), (172, 126), (34, 46), (353, 204), (89, 214), (249, 361), (209, 239))
    spec = ModelSpec.single(VOC_LABELS, (416, 416), (23, 23), shapes, grid_transposed=True, delta_order="xyhw")
    deltas = np.zeros((23, 23, 9, 4), np.float32)
    deltas[5, 11, 4] = (0.5, -0.5, math.log(2), math.log(3))  # dx, dy, dh, dw
    boxes = decode(deltas.reshape(-1, 4), spec).reshape(23, 23, 9, 4)
    cx, cy = 6 * 416 / 24 + 0.5 * 34, 12 * 416 / 24 - 0.5 * 46
    w, h = 34 * 3, 46 * 2
    np.testing.assert_allclose(boxes[5, 11, 4], (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), rtol=1e-5)


def test_an_inset_grid_is_the_middle_of_the_full_one():
    full = make_spec(input_wh=(416, 416), grid_hw=(25, 25)).anchors_cxcywh.reshape(25, 25, -1)
    inset = make_spec(input_wh=(416, 416), grid_hw=(23, 23), grid_inset=1).anchors_cxcywh.reshape(23, 23, -1)
    np.testing.assert_allclose(inset, full[1:-1, 1:-1], rtol=1e-6)


def test_anchors_are_read_only_and_not_shared_by_a_changed_spec():
    spec = make_spec()
    with pytest.raises(ValueError, match="read-only"):
        spec.anchors_cxcywh[0, 0] = 7
    assert replace(spec, input_wh=(48, 64)).anchors_cxcywh[0, 0] != spec.anchors_cxcywh[0, 0]


@given(specs, st.integers(1, 2000), st.integers(1, 2000))
def test_resized_keeps_anchors_as_shares_of_the_image_or_in_pixels(spec: ModelSpec, width: int, height: int):
    resized = spec.resized((width, height), [grid.hw for grid in spec.grids])
    assert resized.input_wh == (width, height)
    for before, after in zip(spec.grids, resized.grids, strict=True):
        if before.stride is not None:
            assert after == before
            continue
        share = before.anchors_cxcywh(spec.input_wh) / np.tile(spec.input_wh, 2)
        np.testing.assert_allclose(after.anchors_cxcywh((width, height)) / (width, height, width, height), share)


def test_resized_refuses_a_bad_size():
    with pytest.raises(SpecError, match="input_wh"):
        make_spec().resized((0, 10), [(1, 1)])
