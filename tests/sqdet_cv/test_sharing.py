"""One Detector, Classifier or SqueezeDetModel for many threads and processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from sqdet_cv import Classifier, Detector, ModelFileError, ModelSpec
from sqdet_cv.compat.detection_model import SqueezeDetModel
from sqdet_cv.util.log_level import _log
from tests.released import PHOTOS, write_released

from .threads import in_forked_child, in_threads

Answer = tuple[np.ndarray, ...]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")


def _detect(detector: Detector, image: np.ndarray) -> Answer:
    found = detector(image)
    return found.boxes_xyxy, found.class_ids, found.scores


def _detect_as_cv2(model: SqueezeDetModel, image: np.ndarray) -> Answer:
    return tuple(np.asarray(part) for part in model.detect(image, 0.1, 0.4))


def _classify(classifier: Classifier, image: np.ndarray) -> Answer:
    return (classifier.probabilities(image),)


KINDS = {"Detector": (Detector, _detect), "SqueezeDetModel": (SqueezeDetModel, _detect_as_cv2)}
KINDS["Classifier"] = (Classifier, _classify)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def one(request) -> tuple[Any, Callable[[Any, np.ndarray], Answer]]:
    make, ask = request.param
    return make(), ask


def _images() -> list[np.ndarray]:
    return [cv2.imread(str(path)) for path in PHOTOS]


def _equal(found: Answer, expected: Answer) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_threads_get_what_one_gets(one):
    model, ask = one
    images = _images() * 3
    expected = [ask(model, image) for image in images]
    assert not _equal(expected[0], expected[1])
    found = in_threads(lambda image: ask(model, image), images)
    assert [_equal(a, b) for a, b in zip(found, expected, strict=True)] == [True] * len(images)


def test_what_is_set_between_calls_does_not_disturb_other_threads():
    detector, images = Detector(), _images()
    expected = [_detect(detector, image) for image in images]

    def work(i: int) -> bool:
        if i % 4 == 3:
            detector.set_backend("opencv")
            return True
        return _equal(_detect(detector, images[i % 10]), expected[i % 10])

    assert all(in_threads(work, range(30)))


def test_copies_give_the_same(one):
    model, ask = one
    (image,) = _images()[:1]
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert _equal(ask(copied, image), ask(model, image))


def test_a_pickle_is_small_and_keeps_what_was_set(tmp_path, monkeypatch):
    detector = Detector(write_released(tmp_path), score_threshold=0.2)
    detector.nms_threshold = 0.6
    detector.enable_winograd(False)
    data = pickle.dumps(detector)
    assert len(data) < 10_000
    monkeypatch.chdir("/")
    copied = pickle.loads(data)
    assert (copied.score_threshold, copied.nms_threshold, copied.backend) == (0.2, 0.6, detector.backend)
    assert not copied.spec.anchors_cxcywh.flags.writeable
    (image,) = _images()[:1]
    assert _equal(_detect(copied, image), _detect(detector, image))


def test_a_pickle_whose_model_became_another_is_refused(tmp_path):
    path = write_released(tmp_path)
    data = pickle.dumps(Detector(path))
    spec = ModelSpec.load(path.with_suffix(".json"))
    ModelSpec(spec.labels[::-1], spec.input_wh, spec.grids).save(path.with_suffix(".json"))
    with pytest.raises(ModelFileError, match="released.onnx"):
        pickle.loads(data)


def _label(detector: Detector, image: np.ndarray) -> str:
    return detector(image)[0].label


@pytest.mark.slow
def test_a_spawned_process_takes_one():
    image = next(image for path, image in zip(PHOTOS, _images()) if path.name == "cat.jpg")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_label, (Detector(), image)) == "cat"


@needs_fork
def test_a_forked_process_goes_on_though_another_thread_holds_the_lock(one):
    model, ask = one
    (image,) = _images()[:1]
    expected = ask(model, image)
    lock = getattr(model, "_detector", model)._lock
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_forked_child(lambda: _equal(ask(model, image), expected))
    finally:
        done.set()
        thread.join()


def test_detectors_made_at_once_leave_the_log_level_as_it_was():
    before = _log.getLogLevel()
    in_threads(lambda _: Detector(), range(8))
    assert _log.getLogLevel() == before
