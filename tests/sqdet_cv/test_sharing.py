"""One Detector, Classifier or SqueezeDetModel for many threads and processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sqdet_cv import Classifier, Detector, ModelFileError, ModelSpec, SqdetError
from sqdet_cv.compat.detection_model import SqueezeDetModel
from sqdet_cv.util.log_level import _log
from tests.colours import CLASSIFIER, DETECTOR
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


def test_winograd_set_while_others_detect():
    detector, images = Detector(score_threshold=0.1), _images()[:5]
    either = []  # the two methods differ in the last digits
    for use in (True, False):
        detector.enable_winograd(use)
        either.append([_detect(detector, image) for image in images])

    def work(i: int) -> bool:
        if i % 4 == 3:
            detector.enable_winograd(i % 8 == 3)
            return True
        found = _detect(detector, images[i % 5])
        return any(_equal(found, answers[i % 5]) for answers in either)

    assert all(in_threads(work, range(32)))


def test_a_batch_has_one_pair_of_thresholds(monkeypatch):
    """Though another thread sets them while the net computes."""
    detector, images = Detector(score_threshold=0.05), _images()[:2]
    expected = [_detect(detector, image) for image in images]
    forward = detector.forward

    def slow_forward(blob: np.ndarray) -> list[np.ndarray]:
        outputs = forward(blob)
        detector.score_threshold = detector.nms_threshold = 1.0
        return outputs

    monkeypatch.setattr(detector, "forward", slow_forward)
    found = detector.detect_batch(images[:1])
    assert len(expected[0][2]) and _equal((found[0].boxes_xyxy, found[0].class_ids, found[0].scores), expected[0])


def test_input_parameters_are_set_at_once(monkeypatch):
    """A call that began before them goes on with what was set then: crop, which the boxes depend on, included."""
    model, (image,) = SqueezeDetModel(), _images()[:1]
    expected = _detect_as_cv2(model, image)
    forward = model._detector.forward

    def slow_forward(blob: np.ndarray) -> list[np.ndarray]:
        outputs = forward(blob)
        model.setInputParams(0.5, mean=(1, 2, 3), swapRB=True, crop=True)
        model.setNmsAcrossClasses(True)
        return outputs

    monkeypatch.setattr(model._detector, "forward", slow_forward)
    assert len(expected[0]) and _equal(_detect_as_cv2(model, image), expected)
    with pytest.raises(SqdetError, match="mean is 'grey'"):
        model.setInputParams(0.25, mean="grey")
    assert model._input == (0.5, (1.0, 2.0, 3.0), True, True)  # not the scale alone


def test_threads_that_set_parameters_never_give_half_of_them():
    model = SqueezeDetModel()
    pairs = [(1.0, (104.0, 117.0, 123.0), False), (0.5, (10.0, 20.0, 30.0), True)]
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def work(i: int) -> bool:
            for k in range(500):
                scale, mean, swap_rb = pairs[k % 2]
                if i % 2:
                    model.setInputParams(scale, mean=mean, swapRB=swap_rb)
                elif model._input[:3] not in pairs:
                    return False
            return True

        assert all(in_threads(work, range(8)))
    finally:
        sys.setswitchinterval(switch_interval)


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


@pytest.mark.parametrize(("kind", "stored"), [(Detector, DETECTOR), (Classifier, CLASSIFIER)])
def test_a_pickle_whose_file_became_another_is_refused(tmp_path, kind: type, stored: Path):
    """The spec is the same, as after more training: only the file tells."""
    for suffix in (".onnx", ".json"):
        shutil.copy(stored.with_suffix(suffix), tmp_path / f"m{suffix}")
    path = tmp_path / "m.onnx"
    data = pickle.dumps(kind(path))
    assert pickle.loads(data).spec == kind(path).spec
    path.write_bytes(path.read_bytes() + b"\x32\x05other")  # ModelProto.doc_string
    kind(path)  # as good a model as before
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
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
