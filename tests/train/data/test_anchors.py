from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import Thing, slow_iou, write_list, write_photo
from train.common.errors import TrainError
from train.data.anchors import METRICS, best_iou, cluster_shapes, find_anchors, nearest, network_shapes, shape_iou
from train.data.formats.voc import load_voc

each_metric = pytest.mark.parametrize("metric", METRICS)


def _slow_iou(p: np.ndarray, q: np.ndarray) -> float:
    return slow_iou(np.r_[-p / 2, p / 2], np.r_[-q / 2, q / 2])


def _slow_distance(metric: str, p: np.ndarray, q: np.ndarray) -> float:
    return 1 - _slow_iou(p, q) if metric == "iou" else float(np.hypot(*(p - q)))


@given(st.integers(0, 2**32 - 1))
def test_shape_iou_is_that_of_centred_boxes(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(1, 100, (3, 2)), rng.uniform(1, 100, (4, 2))
    np.testing.assert_allclose(shape_iou(a, b), [[_slow_iou(p, q) for q in b] for p in a])


@each_metric
@given(seed=st.integers(0, 2**32 - 1))
def test_shapes_belong_to_the_nearest_centre(metric: str, seed: int):
    rng = np.random.default_rng(seed)
    shapes, centres = rng.uniform(1, 100, (20, 2)), rng.uniform(1, 100, (4, 2))
    distances = [[_slow_distance(metric, p, q) for q in centres] for p in shapes]
    assert nearest(shapes, centres, metric).tolist() == [int(np.argmin(row)) for row in distances]
    ious = [max(_slow_iou(p, q) for q in centres) for p in shapes]
    np.testing.assert_allclose(best_iou(shapes, centres), ious)


@pytest.mark.slow
@each_metric
@pytest.mark.parametrize("seed", range(4))
def test_clear_clusters_are_the_best_of_all_divisions(metric: str, seed: int):
    """Nine shapes around three: of all 3^9 ways to share them out, k-means finds the one of least cost."""
    rng = np.random.default_rng(seed)
    truth = np.array([[10, 14], [60, 25], [50, 90]])
    shapes = rng.permutation((truth[:, None] * rng.uniform(0.9, 1.1, (3, 3, 2))).reshape(-1, 2))
    best_cost, best_centres = np.inf, None
    for owner in product(range(3), repeat=len(shapes)):
        if len(set(owner)) < 3:
            continue
        centres = np.array([shapes[np.array(owner) == k].mean(axis=0) for k in range(3)])
        own = centres[list(owner)]
        if metric == "iou":
            overlap = np.minimum(shapes, own).prod(axis=1)
            cost = (1 - overlap / (shapes.prod(axis=1) + own.prod(axis=1) - overlap)).sum()
        else:
            cost = ((shapes - own) ** 2).sum()
        if cost < best_cost:
            best_cost, best_centres = cost, centres
    found = cluster_shapes(shapes, 3, seed, metric)
    np.testing.assert_allclose(found, best_centres[np.argsort(best_centres.prod(axis=1))])


@each_metric
def test_clear_clusters_are_found_whatever_the_seed(metric: str):
    rng = np.random.default_rng(0)
    truth = np.array([[8, 10], [300, 120], [100, 400]])
    shapes = (truth[:, None] * rng.uniform(0.95, 1.05, (3, 50, 2))).reshape(-1, 2)
    for seed in range(5):
        np.testing.assert_allclose(cluster_shapes(rng.permutation(shapes), 3, seed, metric), truth, rtol=0.03)


@each_metric
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_the_result_is_a_fixed_point_by_area(metric: str, seed: int, count: int):
    shapes = np.random.default_rng(seed).uniform(5, 300, (60, 2))
    centres = cluster_shapes(shapes, count, seed, metric)
    assert centres.shape == (count, 2)
    assert (np.diff(centres.prod(axis=1)) >= 0).all()
    owner = nearest(shapes, centres, metric)
    for k in range(count):
        np.testing.assert_allclose(centres[k], shapes[owner == k].mean(axis=0))
    np.testing.assert_array_equal(centres, cluster_shapes(shapes, count, seed, metric))


def test_another_seed_starts_elsewhere():
    shapes = np.random.default_rng(0).uniform(5, 300, (60, 2))
    assert len({cluster_shapes(shapes, 8, seed).tobytes() for seed in range(5)}) > 1


def test_the_metrics_differ_where_small_and_large_boxes_meet():
    """In pixels the small ones are one heap; by IoU 8 and 16 px are as far apart as 200 and 400."""
    shapes = np.repeat([[8.0, 8], [16, 16], [200, 200], [220, 220]], 5, axis=0)

    def best_of_seeds(metric: str) -> list[float]:
        tried = [cluster_shapes(shapes, 3, seed, metric) for seed in range(10)]
        return min(tried, key=lambda centres: METRICS[metric](shapes, centres).min(axis=1).sum())[:, 0].tolist()

    assert best_of_seeds("iou") == [8, 16, 210]
    assert best_of_seeds("euclidean") == [12, 200, 220]


@each_metric
def test_as_many_clusters_as_shapes_are_the_shapes(metric: str):
    shapes = np.array([[1.0, 2], [30, 4], [5, 60], [70, 80]])
    centres = cluster_shapes(np.repeat(shapes, 3, axis=0), 4, 0, metric)
    assert {tuple(centre) for centre in centres} == {tuple(shape) for shape in shapes}


FEW = {
    "no box": (np.zeros((0, 2)), 1, "0 different box shapes in the data; 1 anchor shapes need"),
    "all equal": (np.full((6, 2), 7.0), 2, "1 different box shapes in the data; 2 anchor shapes need"),
    "equal but for rounding": (np.array([[7, 7], [7 + 1e-6, 7], [9, 9]]), 3, "2 different box shapes"),
}


@each_metric
@pytest.mark.parametrize(("shapes", "count", "message"), FEW.values(), ids=FEW)
def test_more_clusters_than_different_shapes_are_refused(metric: str, shapes: np.ndarray, count: int, message: str):
    with pytest.raises(TrainError, match=message):
        cluster_shapes(shapes, count, 0, metric)


# -- of a data set --------------------------------------------------------------------------------------------


def _devkit(root: Path) -> Path:
    """A half of a wide image and a half of a tall one have the same shape at network size."""
    write_photo(root, "wide", [Thing("cat", (0, 0, 60, 20)), Thing("dog", (0, 0, 12, 40))], (120, 40))
    write_photo(root, "tall", [Thing("cat", (0, 50, 20, 100))], (40, 100))
    write_photo(root, "empty", [])
    write_list(root, "train", ["wide", "tall", "empty"])
    return root


def test_anchors_are_shares_of_each_photo(tmp_path: Path):
    samples = load_voc(_devkit(tmp_path), ["train"], VOC_LABELS)
    np.testing.assert_allclose(network_shapes(samples, (200, 100)), [[100, 50], [20, 100], [100, 50]])
    np.testing.assert_allclose(find_anchors(samples, 200, 2, seed=0), [[20, 200], [100, 100]])
    with pytest.raises(TrainError, match="2 different box shapes in the data; 3 anchor shapes need"):
        find_anchors(samples, 200, 3, seed=0)


def test_a_photo_whose_xml_says_its_size_is_not_read(tmp_path: Path):
    root = _devkit(tmp_path)
    for image_id, (width, height) in {"wide": (120, 40), "tall": (40, 100)}.items():
        xml = root / "Annotations" / f"{image_id}.xml"
        size = f"<size><width>{width}</width><height>{height}</height></size></annotation>"
        xml.write_text(xml.read_text().replace("</annotation>", size))
        (root / "JPEGImages" / f"{image_id}.jpg").write_bytes(b"")
    samples = load_voc(root, ["train"], VOC_LABELS)
    np.testing.assert_allclose(network_shapes(samples, (200, 200)), [[100, 100], [20, 200], [100, 100]])
