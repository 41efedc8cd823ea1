"""InferBbox against the compiled C++ class's output (tests/data/infer_bbox) and a port in plain loops."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqdet_cv import ModelSpec, SqdetError
from sqdet_cv.compat.infer_bbox import VOC_2017_SPEC, InferBbox, InferredObject, _anchors

DATA = Path(__file__).parents[2] / "data" / "infer_bbox"
HAND_CASES = json.loads((DATA / "hand_cases.json").read_text())
NAMES = ("delta_bbox", "class_scores", "conf_scores")


def tensors_of(spec: ModelSpec = VOC_2017_SPEC, items: list | None = None) -> list[np.ndarray]:
    """Zeros, except for items (row, column, shape, class, confidence, four deltas or None)."""
    deltas = np.zeros((*spec.grid.hw, spec.grid.anchors_per_cell * 4), np.float32)
    classes = np.zeros((spec.num_anchors, spec.num_classes), np.float32)
    confidence = np.zeros((*spec.grid.hw, spec.grid.anchors_per_cell), np.float32)
    for row, column, shape, class_id, conf, delta in items or []:
        classes[(row * spec.grid.hw[1] + column) * spec.grid.anchors_per_cell + shape, class_id] = 1
        confidence[row, column, shape] = conf
        deltas[row, column, shape * 4 : shape * 4 + 4] = delta or 0
    return [deltas, classes, confidence]


def run(tensors: list[np.ndarray], *thresh: float, spec: ModelSpec = VOC_2017_SPEC) -> list[InferredObject]:
    infer = InferBbox(*tensors, spec=spec)
    infer.filter(*thresh)
    return infer.detections


def assert_same(found: list[InferredObject], expected: list[InferredObject], tolerance: float = 1e-9) -> None:
    assert [o[:6] for o in found] == [o[:6] for o in expected]
    np.testing.assert_allclose([o.class_prob for o in found], [o.class_prob for o in expected], rtol=0, atol=tolerance)


# -- the C++ class's own output -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["001", "007", "010"])
def test_equals_the_cpp_class(name: str):
    with np.load(DATA / f"{name}.npz") as file:
        found = run([file[key] for key in NAMES], float(file["threshold"]))
    expected = []
    for o in json.loads((DATA / f"{name}.json").read_text()):
        x1, y1, x2, y2 = o["box"]
        expected.append(InferredObject(x1, x2, y1, y2, o["class_idx"], o["label"], o["prob"]))
    assert len(expected) > 10
    assert_same(found, expected)


@pytest.mark.parametrize("name", [name for name, case in HAND_CASES.items() if "threshold" in case])
def test_hand_made_case(name: str):
    case = HAND_CASES[name]
    tensors = tensors_of(items=case["items_h_w_anchor_class_conf_delta(x,y,h,w)"])
    found = run(tensors) if case["threshold"] is None else run(tensors, case["threshold"])
    expected = [
        InferredObject(x1, x2, y1, y2, class_id, VOC_2017_SPEC.labels[class_id], prob)
        for class_id, x1, y1, x2, y2, prob in case["expected_class_xmin_ymin_xmax_ymax_prob"]
    ]
    assert_same(found, expected, 1e-8)  # the file gives nine digits


# -- a port in loops, written from the rules ------------------------------------------------------------------


def by_loops(tensors: list[np.ndarray], thresh: float, spec: ModelSpec) -> list[InferredObject]:
    """For the 2017 geometry and scores that are not equal."""
    deltas, classes, confidence = (tensor.astype(np.float64) for tensor in tensors)
    (rows, columns), (width, height) = spec.grid.hw, spec.input_wh
    candidates = []
    for i in range(rows):
        for j in range(columns):
            for k, (w, h) in enumerate(spec.grid.anchors_wh):
                probs = [confidence[i, j, k] * p for p in classes[(i * columns + j) * spec.grid.anchors_per_cell + k]]
                dx, dy, dh, dw = deltas[i, j, 4 * k : 4 * k + 4]
                cx = (i + 1) * width / (rows + 1) + w * dx
                cy = (j + 1) * height / (columns + 1) + h * dy
                half_w, half_h = w * math.exp(dw) / 2, h * math.exp(dh) / 2
                x1, x2 = (min(max(x, 0), width - 1) for x in (cx - half_w, cx + half_w))
                y1, y2 = (min(max(y, 0), height - 1) for y in (cy - half_h, cy + half_h))
                candidates.append((max(probs), probs.index(max(probs)), x1, y1, x2, y2))
    candidates = sorted(candidates, key=lambda candidate: -candidate[0])[:64]
    found = []
    for class_id, label in enumerate(spec.labels):
        members = [candidate for candidate in candidates if candidate[1] == class_id]
        for n, (prob, _, x1, y1, x2, y2) in enumerate(members):
            suppressed = any(loop_iou(better[2:], (x1, y1, x2, y2)) > 0.1 for better in members[:n])
            if prob > thresh and not suppressed:
                found.append(InferredObject(int(x1), int(x2), int(y1), int(y2), class_id, label, prob))
    return found


def loop_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    overlap_w = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    overlap_h = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return overlap_w * overlap_h / (areas - overlap_w * overlap_h + 1e-7)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    side = st.integers(1, 6)
    return ModelSpec.single(
        labels=tuple(f"class {i}" for i in range(draw(st.integers(1, 5)))),
        input_wh=draw(st.tuples(st.integers(1, 200), st.integers(1, 200))),
        grid_hw=draw(st.tuples(side, side)),
        anchors_wh=draw(st.lists(st.tuples(st.floats(1, 300), st.floats(1, 300)), min_size=1, max_size=4)),
        grid_transposed=True,
        delta_order="xyhw",
        size_delta_cap=math.inf,
    )


@settings(max_examples=60, deadline=None)
@given(specs(), st.integers(0, 2**32 - 1), st.sampled_from([-1, 0, 0.3, 0.8]), st.sampled_from([0.2, 1, 4]))
def test_equals_the_port_in_loops(spec: ModelSpec, seed: int, thresh: float, spread: float):
    rng = np.random.default_rng(seed)
    shapes = [tensor.shape for tensor in tensors_of(spec)]
    deltas = rng.normal(0, spread, shapes[0]).astype(np.float32)
    classes, confidence = (rng.random(shape, np.float32) for shape in shapes[1:])
    confidence -= np.float32(rng.choice([0, 0.5]))  # a negative one turns the order of the classes round
    tensors = [deltas, classes, confidence]
    assert_same(run(tensors, thresh, spec=spec), by_loops(tensors, thresh, spec))


# -- quirks ---------------------------------------------------------------------------------------------------


def test_a_second_filter_appends_again():
    infer = InferBbox(*tensors_of(items=[(2, 2, 4, 9, 0.9, None), (20, 20, 4, 2, 0.85, None)]))
    infer.filter()
    once = list(infer.detections)
    infer.filter()
    assert len(once) == 2
    assert infer.detections == once + once


def test_the_65th_best_is_dropped_whatever_its_class():
    cells = [(i, j) for i in range(9) for j in range(8)][:65]
    items = [(i, j, 4, 7, 0.9 - 0.001 * n, None) for n, (i, j) in enumerate(cells)]
    items[-1] = (22, 22, 4, 5, 0.55, None)
    assert {o.class_idx for o in run(tensors_of(items=items), 0.5)} == {7}
    assert {o.class_idx for o in run(tensors_of(items=items[1:]), 0.5)} == {5, 7}


def test_equal_scores_keep_the_order_of_std_sort():
    """All 4761 scores are 1; expected is what the compiled class (GCC, libstdc++) returns."""
    deltas, classes, confidence = tensors_of()
    classes[:, 3], confidence[:] = 1, 1
    expected = [(260, 294, 133, 179, 3, "boat", 1.0), (212, 341, 0, 249, 3, "boat", 1.0)]
    assert run([deltas, classes, confidence]) == expected


def test_two_groups_of_equal_scores_keep_the_order_of_std_sort():
    """95 scores of 0.875, more than the 64 that are looked at; expected as above."""
    deltas, classes, confidence = tensors_of()
    anchor_ids = np.arange(4761)
    classes[anchor_ids, 3 + anchor_ids % 2] = 1
    confidence.flat = np.where(anchor_ids * 7919 % 101 < 2, 0.875, 0.5)
    assert run([deltas, classes, confidence]) == [
        (0, 34, 375, 415, 3, "boat", 0.875),
        (242, 415, 88, 327, 3, "boat", 0.875),
        (156, 190, 289, 335, 3, "boat", 0.875),
        (312, 346, 202, 248, 3, "boat", 0.875),
        (22, 151, 201, 415, 3, "boat", 0.875),
        (243, 277, 46, 92, 4, "bottle", 0.875),
        (87, 121, 133, 179, 4, "bottle", 0.875),
        (174, 346, 335, 415, 4, "bottle", 0.875),
        (48, 401, 0, 188, 4, "bottle", 0.875),
        (225, 259, 0, 40, 4, "bottle", 0.875),
        (0, 79, 83, 297, 4, "bottle", 0.875),
        (69, 103, 81, 127, 4, "bottle", 0.875),
    ]


def test_no_object():
    assert run(tensors_of()) == []


def test_infinite_deltas_go_to_the_border():
    (found,) = run(tensors_of(items=[(5, 5, 4, 0, 0.9, (math.inf, 0, 0, math.inf))]))
    assert (found.xmin, found.xmax) == (0, 415)


# -- other models, bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("inset", [0, 1])
def test_anchors_are_the_specs(transposed: bool, inset: int):
    spec = ModelSpec.single(
        ("a",), (320, 192), (3, 5), ((10, 20), (30, 9)), grid_transposed=transposed, grid_inset=inset
    )
    np.testing.assert_allclose(_anchors(spec).T, spec.anchors_cxcywh, rtol=1e-7)


def test_the_papers_geometry_by_keyword():
    spec = ModelSpec.single(("cat", "dog"), (60, 40), (3, 5), ((10, 8),))  # row gives y; delta dx, dy, dw, dh
    found = run(tensors_of(spec, [(0, 4, 0, 1, 0.875, (0, 0, 0.5, 0))]), spec=spec)
    assert found == [InferredObject(41, 58, 6, 14, 1, "dog", 0.875)]


BAD = {
    "list": (0, lambda t: t.tolist(), "is list, expected a float32 array"),
    "float64 deltas": (0, lambda t: t.astype(np.float64), "float64"),
    "batch axis": (0, lambda t: t[None], r"\(1, 23, 23, 36\), expected float32 of shape \(23, 23, 36\)"),
    "three classes": (1, lambda t: t[:, :3], r"\(4761, 3\), expected float32 of shape \(4761, 20\)"),
    "flat confidence": (2, lambda t: t.reshape(-1), r"expected float32 of shape \(23, 23, 9\)"),
    "NaN deltas": (0, lambda t: t + np.float32(np.nan), "NaN"),
    "NaN classes": (1, lambda t: t + np.float32(np.nan), "NaN"),
    "infinite confidence": (2, lambda t: t + np.float32(np.inf), "infinity"),
}


@pytest.mark.parametrize(("position", "spoil", "message"), BAD.values(), ids=BAD)
def test_bad_tensor(position: int, spoil, message: str):
    tensors = tensors_of()
    tensors[position] = spoil(tensors[position])
    with pytest.raises(SqdetError, match=f"^{NAMES[position]} .*{message}"):
        InferBbox(*tensors)


@pytest.mark.parametrize("thresh", [math.nan, "0.5", None])
def test_bad_threshold(thresh: object):
    with pytest.raises(SqdetError, match="thresh is .*, expected a number"):
        InferBbox(*tensors_of()).filter(thresh)
