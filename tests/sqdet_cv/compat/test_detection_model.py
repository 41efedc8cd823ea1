"""SqueezeDetModel finds what Detector finds, and gives it as cv2.dnn.DetectionModel would."""

import warnings

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError, Detector, SqdetError, SqueezeDetModel
from tests.helpers import slow_iou
from tests.released import MODEL, PHOTOS, PICTURES, released_onnx, write_released

ASTRONAUT = cv2.imread(str(PICTURES / "astronaut.jpg"))
SIDE = released_onnx()[1].input_wh[0]
TRAINED_WITH = {"scale": 1.0, "size": (SIDE, SIDE), "mean": (104, 117, 123), "swapRB": False, "crop": False}

# A detector of the kind that the real class reads: one convolution, two anchors, three classes.
DARKNET = """[net]
width=32
height=32
channels=3
[convolutional]
filters=16
size=1
stride=8
pad=0
activation=linear
[yolo]
mask=0,1
anchors=8,8, 16,16
classes=3
num=2
"""


@pytest.fixture(scope="module")
def model() -> SqueezeDetModel:
    """Not to be changed by a test."""
    return SqueezeDetModel()


@pytest.fixture
def fresh() -> SqueezeDetModel:
    return SqueezeDetModel()


@pytest.fixture(scope="module")
def everything():
    """What Detector finds in ASTRONAUT above a low threshold, without suppression."""
    return Detector(score_threshold=0.05, nms_threshold=1.0, backend="opencv")(ASTRONAUT)


def cv2_box(box_xyxy: np.ndarray, frame: np.ndarray) -> list[int]:
    """model.cpp of OpenCV, for a DetectionOutput layer, in Python's ints."""
    height, width = frame.shape[:2]
    left, top, right, bottom = (int(value) for value in box_xyxy)
    w, h = right - left + 1, bottom - top + 1
    left, top = max(0, min(left, width - 1)), max(0, min(top, height - 1))
    return [left, top, max(1, min(w, width - left)), max(1, min(h, height - top))]


# -- like the real class --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromDarknet"), reason="OpenCV 5 reads no network for the real class")
def test_results_are_of_the_real_classes_types(model, tmp_path):
    config, weights = tmp_path / "tiny.cfg", tmp_path / "tiny.weights"
    config.write_text(DARKNET)
    values = np.random.default_rng(0).normal(0, 0.01, 16 + 16 * 3).astype(np.float32)
    weights.write_bytes(np.array([0, 2, 0, 0, 0], np.int32).tobytes() + values.tobytes())
    real = cv2.dnn.DetectionModel(str(weights), str(config))
    real.setInputParams(1 / 255, (32, 32))
    for threshold in (0.1, 0.99):
        theirs, ours = real.detect(ASTRONAUT, threshold, 0.4), model.detect(ASTRONAUT, threshold, 0.4)
        assert type(theirs) is type(ours) is tuple
        for their, our in zip(theirs, ours):
            assert type(their) is type(our)
            if threshold == 0.1:
                assert len(their) and len(our)
                assert (their.dtype, their.shape[1:]) == (our.dtype, our.shape[1:])
            else:
                assert their == our == ()


@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_types_as_measured_on_4_10_and_4_14(model, threshold):
    class_ids, confidences, boxes = model.detect(ASTRONAUT, threshold)
    count = len(class_ids)
    assert (class_ids.dtype, class_ids.shape) == (np.int32, (count,))
    assert (confidences.dtype, confidences.shape) == (np.float32, (count,))
    assert (boxes.dtype, boxes.shape) == (np.int32, (count, 4))
    assert count > 1 and confidences.min() >= threshold


def test_nothing_found_is_three_empty_tuples(model):
    assert model.detect(np.zeros((9, 7, 3), np.uint8), confThreshold=0.99, nmsThreshold=0.4) == ((), (), ())


def test_has_the_real_classs_methods():
    methods = {name for name in dir(cv2.dnn.DetectionModel) if not name.startswith("_")}
    # outputs are found by the head; enableTF32 is for CUDA on OpenCV 5 alone
    assert methods - {"setOutputNames", "enableTF32"} <= set(dir(SqueezeDetModel))


def test_setters_can_be_chained(fresh):
    chained = fresh.setInputSize(SIDE, SIDE).setInputSize((SIDE, SIDE)).setInputMean(TRAINED_WITH["mean"])
    chained = chained.setInputScale(1.0).setInputSwapRB(False).setInputCrop(False).setNmsAcrossClasses(True)
    chained = chained.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV).setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    assert chained.enableWinograd(False) is fresh and fresh.getNmsAcrossClasses() is True
    assert fresh.setInputParams(**TRAINED_WITH) is None  # as in cv2


# -- like Detector --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nms", [0.4, 0.0])
def test_finds_what_detector_finds_in_ten_images(model, nms):
    detector = Detector(score_threshold=0.1, nms_threshold=nms or 1.0, backend="opencv")
    for path in PHOTOS:
        image = cv2.imread(str(path))
        found = detector(image)
        expected = sorted(
            ((one.class_id, -one.score, cv2_box(one.box_xyxy, image)) for one in found), key=lambda row: row[:2]
        )
        class_ids, confidences, boxes = model.detect(image, 0.1, nms)
        assert list(class_ids) == [row[0] for row in expected], path.name
        assert [tuple(box) for box in boxes] == [tuple(row[2]) for row in expected], path.name
        np.testing.assert_allclose(confidences, [-row[1] for row in expected], atol=1e-6)


def test_boxes_are_within_the_frame(model):
    for shape in ((1, 1, 3), (3, 700, 3), (700, 3, 3)):
        _, _, boxes = model.detect(np.full(shape, 127, np.uint8), 0.001)
        assert len(boxes) and (boxes[:, :2] >= 0).all() and (boxes[:, 2:] >= 1).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= shape[1::-1]).all()


def test_a_confidence_equal_to_the_threshold_stays(model):
    _, confidences, _ = model.detect(ASTRONAUT, 0.1, 0.4)
    least = float(confidences.min())
    assert least in model.detect(ASTRONAUT, least, 0.4)[1]
    assert least not in model.detect(ASTRONAUT, np.nextafter(np.float32(least), np.float32(1)), 0.4)[1]


def test_suppression_across_classes(fresh, everything):
    kept = []
    for one in everything:  # best first
        if all(slow_iou(one.box_xyxy, other.box_xyxy) <= 0.4 for other in kept):
            kept.append(one)
    per_class = fresh.detect(ASTRONAUT, 0.05, 0.4)[0]
    class_ids, confidences, _ = fresh.setNmsAcrossClasses(True).detect(ASTRONAUT, 0.05, 0.4)
    assert list(class_ids) == [one.class_id for one in kept] and len(kept) < len(per_class)
    np.testing.assert_allclose(confidences, [one.score for one in kept], atol=1e-6)


@pytest.mark.parametrize("frame", [None, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)], ids=repr)
def test_not_a_frame(model, frame):
    with pytest.raises(SqdetError, match="the image is"):
        model.detect(frame)


# -- pre-processing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crop", [False, True], ids=["stretch", "crop"])
@pytest.mark.parametrize("swap_rb", [False, True], ids=["bgr", "rgb"])
@pytest.mark.parametrize("mean", [(104, 117, 123), (1, 2, 3, 4), 5], ids=str)
def test_parameters_count_as_in_cv2(fresh, mean, swap_rb, crop):
    frame = ASTRONAUT[60:420]  # wider than high, less than twice the network's size
    params = cv2.dnn.Image2BlobParams()
    params.scalefactor, params.size, params.swapRB = (0.5, 0.5, 0.5, 0.5), (SIDE, SIDE), swap_rb
    params.mean = [*np.atleast_1d(mean).tolist(), 0, 0, 0][:4]
    params.paddingmode = cv2.dnn.DNN_PMODE_CROP_CENTER if crop else cv2.dnn.DNN_PMODE_NULL
    expected = Detector(backend="opencv").forward(cv2.dnn.blobFromImageWithParams(frame, params))
    fresh.setInputParams(0.5, (SIDE, SIDE), mean, swap_rb, crop)
    with pytest.warns(UserWarning, match="the model was trained with scale 1, mean"):
        found = fresh.predict(frame)
    for mine, theirs in zip(found, expected):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "frame", [ASTRONAUT[60:380], ASTRONAUT[:, 80:400], ASTRONAUT[:320, :320]], ids=["wide", "high", "square"]
)
def test_boxes_of_a_crop_lie_where_the_objects_are(fresh, frame):
    height, width = frame.shape[:2]
    factor = float(np.float32(SIDE) / np.float32(min(height, width)))
    covering = cv2.resize(frame, None, fx=factor, fy=factor)  # as blobFromImages does: the same pixels
    left, top = (covering.shape[1] - SIDE) // 2, (covering.shape[0] - SIDE) // 2
    seen = Detector(score_threshold=0.2, nms_threshold=0.4, backend="opencv")(
        covering[top : top + SIDE, left : left + SIDE]
    )
    class_ids, _, boxes = fresh.setInputCrop(True).detect(frame, 0.2, 0.4)
    order = np.argsort(seen.class_ids, kind="stable")
    assert len(seen) and list(class_ids) == list(seen.class_ids[order])
    expected = (seen.boxes_xyxy[order] + [left, top, left, top]) / factor
    np.testing.assert_allclose(boxes[:, :2], expected[:, :2], atol=1.01)
    np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], expected[:, 2:], atol=1.01)


def test_the_trained_parameters_change_nothing(fresh, model):
    fresh.setInputParams(**TRAINED_WITH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mine, default in zip(fresh.detect(ASTRONAUT, 0.1), model.detect(ASTRONAUT, 0.1)):
            np.testing.assert_array_equal(mine, default)
        fresh.setInputScale((1, 1, 1)).setInputMean(np.array([104.0, 117.0, 123.0])).detect(ASTRONAUT)


def test_one_warning_for_other_parameters(fresh):
    fresh.setInputParams(1 / 255, (SIDE, SIDE), swapRB=True)
    said = r"scale 1, mean \(104, 117, 123\), swapRB False, but gets scale 0.003922, mean \(0, 0, 0\), swapRB True"
    with pytest.warns(UserWarning, match=said) as warned:
        fresh.detect(ASTRONAUT)
        fresh.detect(ASTRONAUT)
    assert len(warned) == 1 and warned[0].filename == __file__


@pytest.mark.parametrize(
    ("setter", "arguments", "said"),
    [
        pytest.param(
            "setInputSize",
            (416, 416),
            f"416x416, but this network takes {SIDE}x{SIDE} only; .*--size 416x416",
            id="416",
        ),
        pytest.param("setInputSize", ((320, 240),), "--size 320x240", id="not square"),
        pytest.param(
            "setInputParams", (1.0, (416, 416)), "python -m export onnx CHECKPOINT --size 416x416", id="params"
        ),
        pytest.param("setInputScale", ((1, 2, 3),), "scale is", id="a scale a channel"),
        pytest.param("setInputScale", (0,), "scale is 0, expected one number other than 0", id="scale 0"),
        pytest.param("setInputMean", ("grey",), "mean is 'grey', expected a number", id="mean"),
        pytest.param("setInputMean", (float("nan"),), "mean is nan", id="nan"),
    ],
)
def test_values_that_cannot_be(fresh, setter, arguments, said):
    with pytest.raises(SqdetError, match=said):
        getattr(fresh, setter)(*arguments)


# -- files and backends ---------------------------------------------------------------------------------------------


def test_model_and_config_files(tmp_path):
    model = write_released(tmp_path)
    by_path = SqueezeDetModel(str(model), str(model.with_suffix(".json")))
    assert by_path.spec == SqueezeDetModel(model=model, config="").spec == SqueezeDetModel(MODEL).spec
    with pytest.raises(SqdetError, match=r"config is 'yolo\.cfg', expected none"):
        SqueezeDetModel(str(model), "yolo.cfg")


def test_missing_backend_is_refused_when_it_is_set(fresh, monkeypatch):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: [0] if backend_id == 3 else [])
    with pytest.raises(BackendError, match="'cuda' is not in .*has opencv; it needs"):
        fresh.setPreferableBackend(cv2.dnn.DNN_BACKEND_CUDA)
    with pytest.raises(BackendError, match=r"backend 99 .*DNN_BACKEND_OPENCV \+ DNN_TARGET_CPU"):
        fresh.setPreferableBackend(99)
    fresh.setPreferableTarget(cv2.dnn.DNN_TARGET_OPENCL)
    with pytest.raises(BackendError, match="'opencl' is not in this OpenCV"):
        fresh.detect(ASTRONAUT)


def test_a_backend_that_does_not_do_the_work_is_refused(fresh, model, monkeypatch):
    if cv2.cuda.getCudaEnabledDeviceCount() > 0:
        pytest.skip("this machine may really have it")
    with monkeypatch.context() as lying:
        lying.setattr(cv2.dnn, "getAvailableTargets", lambda backend_id: range(11))
        fresh.setPreferableBackend(cv2.dnn.DNN_BACKEND_CUDA)
        with pytest.raises(BackendError, match="not supported; supported are"):  # CUDA on the CPU target
            fresh.detect(ASTRONAUT)
        fresh.setPreferableTarget(cv2.dnn.DNN_TARGET_CUDA)
        for _ in range(2):
            with pytest.raises(
                BackendError, match="'cuda'(: OpenCV .* does not say| was set, but| fails at the first)"
            ):
                fresh.detect(ASTRONAUT)
    fresh.setPreferableBackend(cv2.dnn.DNN_BACKEND_DEFAULT).setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    np.testing.assert_array_equal(fresh.detect(ASTRONAUT, 0.3)[2], model.detect(ASTRONAUT, 0.3)[2])
