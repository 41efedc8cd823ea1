from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from tests.helpers import Thing, write_devkit, write_list, write_photo
from train.common.errors import TrainError
from train.data.assign import assign, unique_anchors
from train.data.batch import Batch
from train.data.cache import read_image
from train.data.formats.voc import Sample, load_voc
from train.data.loader import DetectionData, epoch_order, make_loader
from train.data.transforms.augment import AugmentConfig

SPEC = ModelSpec.single(VOC_LABELS, (64, 48), (2, 3), ((20, 20), (40, 30)))


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    return load_voc(write_devkit(tmp_path_factory.mktemp("voc"), {"train": 7}), ["train"], VOC_LABELS)


def _batches(samples: list[Sample], workers: int, seed: int = 3, epoch: int = 1) -> list[Batch]:
    data = DetectionData(samples, SPEC, AugmentConfig(), seed, epoch)
    order = epoch_order(samples, 0.5, seed, epoch)
    return list(make_loader(data, order, 4, workers))


def _assert_same(a: list[Batch], b: list[Batch]) -> None:
    for left, right in zip(a, b, strict=True):
        for name, value in vars(left).items():
            assert torch.equal(value, getattr(right, name)), name


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(samples: list[Sample], workers: int):
    _assert_same(_batches(samples, workers), _batches(samples, 0))


@pytest.mark.parametrize("change", [{"seed": 4}, {"epoch": 2}], ids=["seed", "epoch"])
def test_another_seed_or_epoch_shows_other_views(samples: list[Sample], change: dict):
    # image 0 alone, so that the order cannot be the difference
    views = [
        DetectionData(samples, SPEC, AugmentConfig(), **({"seed": 3, "epoch": 1} | values)).view(0)[0]
        for values in ({}, {}, change)
    ]
    np.testing.assert_array_equal(views[0].image_bgr, views[1].image_bgr)
    assert not np.array_equal(views[0].image_bgr, views[2].image_bgr)


def test_repeats_of_a_photo_are_different_views(samples: list[Sample]):
    data = DetectionData(samples, SPEC, AugmentConfig(), 0, 0)
    assert not np.array_equal(data.view(0, draw=0)[0].image_bgr, data.view(0, draw=1)[0].image_bgr)


def test_loading_draws_nothing_from_the_global_generator(samples: list[Sample]):
    """Else a resumed run, which makes one loader more, would drop out other units than one never stopped."""
    before = torch.get_rng_state()
    _batches(samples, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_is_the_samples_stacked_in_order(samples: list[Sample]):
    data = DetectionData(samples, SPEC, None, 0, 0)
    order = [(6, 0), (2, 0), (2, 0), (0, 0), (5, 0)]
    batches = list(make_loader(data, order, 2, 0))
    assert [len(batch.images) for batch in batches] == [2, 2, 1]
    assert batches[0].images.shape == (2, 3, 48, 64)
    for n, (index, _) in enumerate(order):
        batch, row = batches[n // 2], n % 2
        sample = samples[index]
        height, width = cv2.imread(str(sample.image_path)).shape[:2]
        boxes = sample.boxes_xyxy * np.float32([64 / width, 48 / height] * 2)
        targets = assign(boxes, sample.class_ids, sample.ignore, sample.weights, sample.class_probabilities, SPEC)
        for name, value in vars(targets).items():
            np.testing.assert_allclose(getattr(batch, name)[row].numpy(), value, rtol=1e-5, atol=1e-5)
        assert batch.labelled[row].tolist() == sample.labelled.tolist()


def test_a_batch_holds_the_objects_of_its_photos_in_a_row(tmp_path: Path):
    """Of the first image two, of the second none, of the third one; `difficult` ones are left out."""
    write_photo(tmp_path, "a", [Thing("cat", (4, 8, 40, 40)), Thing("dog", (50, 20, 90, 70), score=0.5)])
    write_photo(tmp_path, "b", [Thing("cat", (10, 10, 50, 50), difficult=True)])
    write_photo(tmp_path, "c", [Thing("bird", (28, 9, 68, 39), difficult=True), Thing("cow", (20, 0, 60, 72))])
    write_list(tmp_path, "train", ["a", "b", "c"])
    spec = ModelSpec.single(VOC_LABELS, (96, 72), (2, 3), ((20, 20), (40, 30)))
    data = DetectionData(load_voc(tmp_path, ["train"], VOC_LABELS), spec, None, 0, 0)
    (batch,) = make_loader(data, [(0, 0), (1, 0), (2, 0)], 3, 0)
    boxes = np.float32([[4, 8, 40, 40], [50, 20, 90, 70], [20, 0, 60, 72]])
    assert batch.object_image_ids.tolist() == [0, 0, 2]
    np.testing.assert_allclose(batch.object_boxes_xyxy, boxes, rtol=1e-6)
    assert [VOC_LABELS[i] for i in batch.object_class_ids] == ["cat", "dog", "cow"]
    assert batch.object_weights.tolist() == [1, 0.5, 1]
    expected = [*unique_anchors(boxes[:2], spec), *unique_anchors(boxes[2:], spec)]
    assert batch.object_anchor_ids.tolist() == expected
    assert batch.near_ignored.any(dim=1).tolist() == [False, True, True]

    (empty,) = make_loader(data, [(1, 0)], 1, 0)
    shapes = {name: tuple(value.shape) for name, value in vars(empty).items() if name.startswith("object_")}
    assert set(shapes.values()) == {(0,), (0, 4), (0, 20)}
    for name in shapes:
        assert getattr(empty, name).dtype == getattr(batch, name).dtype, name


def test_the_plain_view_is_the_whole_photo_stretched(tmp_path: Path):
    write_photo(tmp_path, "a", [Thing("cat", (30, 20, 60, 50))], (120, 90), suffix=".png")
    write_list(tmp_path, "train", ["a"])
    view, _ = DetectionData(load_voc(tmp_path, ["train"], VOC_LABELS), SPEC, None, 0, 0).view(0)
    np.testing.assert_allclose(view.boxes_xyxy, [[16, 20 * 48 / 90, 32, 50 * 48 / 90]], rtol=1e-6)
    saturated = np.ptp(view.image_bgr.astype(int), axis=2) > 100
    ys, xs = np.nonzero(saturated)
    np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], view.boxes_xyxy[0], atol=1)


@pytest.mark.parametrize("content", [None, b"not a picture"], ids=["missing", "damaged"])
def test_an_unreadable_photo_is_named(tmp_path: Path, content: bytes | None):
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainError, match=f"{path}: missing or not an image"):
        read_image(path)


# -- the order of an epoch ------------------------------------------------------------------------------------


def _sample(*class_ids: int, ignore: bool = False) -> Sample:
    n = len(class_ids)
    ids, flags = np.array(class_ids, np.int64), np.full(n, ignore)
    return Sample(Path("x"), np.zeros((n, 4), np.float32), ids, flags, np.ones(n, np.float32), np.ones(3, bool))


def test_without_balance_each_photo_comes_once():
    order = epoch_order([_sample(0)] * 50, 0.0, seed=1, epoch=0)
    assert sorted(order) == [(i, 0) for i in range(50)]
    assert order != sorted(order)


def test_the_order_depends_on_seed_and_epoch_alone():
    many = [_sample(0)] * 50 + [_sample(1)]
    orders = {key: epoch_order(many, 0.3, *key) for key in ((0, 0), (0, 1), (1, 0))}
    assert orders[0, 0] == epoch_order(many, 0.3, 0, 0)
    assert len({tuple(order) for order in orders.values()}) == 3


def test_rare_classes_are_repeated_as_the_rule_says():
    """96 images of class 0, 4 of class 1: class 1 has share 0.04 and is repeated sqrt(0.25 / 0.04) = 2.5 times."""
    photos = [_sample(0)] * 96 + [_sample(0, 1)] * 4
    counts = [Counter(i for i, _ in epoch_order(photos, 0.25, seed, 0)) for seed in range(200)]
    assert all(count[i] == 1 for count in counts for i in range(96))
    rare = [count[i] for count in counts for i in range(96, 100)]
    assert set(rare) == {2, 3}
    assert np.mean(rare) == pytest.approx(2.5, abs=0.07)
    draws = [draw for i, draw in epoch_order(photos, 0.25, 0, 0) if i == 99]
    assert sorted(draws) == list(range(len(draws)))


def test_an_ignored_object_makes_no_photo_rare():
    photos = [_sample(0)] * 96 + [replace(_sample(1), ignore=np.array([True]))] * 4
    assert len(epoch_order(photos, 0.25, 0, 0)) == 100


# -- mosaics --------------------------------------------------------------------------------------------------


def test_a_mosaic_is_labelled_for_what_all_its_photos_are(samples: list[Sample]):
    """In the devkit every third image lacks classes; the objects must come from four images."""
    config = AugmentConfig(mosaic=1.0, window=0.0, flip=0.0, colour=0.0)
    whole = partial = 0
    for draw in range(20):
        view, labelled = DetectionData(samples, SPEC, config, seed=0, epoch=0).view(0, draw)
        rng = np.random.default_rng((0, 0, 0, draw))
        rng.random()
        four = [samples[i] for i in (0, *rng.integers(len(samples), size=3))]
        expected = [all(sample.labelled[c] for sample in four) for c in range(len(VOC_LABELS))]
        assert labelled.tolist() == expected
        assert view.class_ids.tolist() == [c for sample in four for c in sample.class_ids]
        whole += labelled.all()
        partial += not labelled.all()
    assert whole
    assert partial


def test_a_mosaic_is_a_row_of_a_batch_like_others(samples: list[Sample]):
    data = DetectionData(samples, SPEC, AugmentConfig(mosaic=0.5), seed=0, epoch=0)
    batches = list(make_loader(data, [(i, 0) for i in range(7)], 7, 0))
    assert batches[0].images.shape == (7, 3, 48, 64)
    _assert_same(batches, list(make_loader(data, [(i, 0) for i in range(7)], 7, 2)))
