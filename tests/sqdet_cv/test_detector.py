"""The embedded model in this OpenCV, and what Detector says to bad input."""

import json

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError, Detector, ModelFileError, ModelSpec, SqdetError
from sqdet_cv.media.writers import VideoFile
from tests.released import DETECTIONS, MODEL, PHOTOS, PICTURES, SCORE_THRESHOLD, released_onnx, write_released
from tests.same_detections import as_rows, assert_same_detections


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture
def model_copy(tmp_path):
    """The embedded model as an ONNX file with its spec beside it, which a test may damage."""
    return write_released(tmp_path)


def read(name: str) -> np.ndarray:
    return cv2.imread(str(PICTURES / name))


@pytest.mark.parametrize(
    ("name", "label", "true_box"),
    [
        pytest.param("cat.jpg", "cat", (20, 15, 451, 300), id="cat"),
        pytest.param("astronaut.jpg", "person", (10, 0, 440, 480), id="person"),
    ],
)
def test_finds_the_obvious(detector, name, label, true_box):
    best = detector(read(name))[0]
    assert best.label == label and best.score > 0.5
    x1, y1, x2, y2 = (
        f(a, b) for f, a, b in zip((max, max, min, min), best.box_xyxy, true_box)
    )  # the overlap with a box drawn by hand
    area = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
    inside = area((x1, y1, x2, y2))
    assert inside / (area(best.box_xyxy) + area(true_box) - inside) > 0.5


def test_same_detections_as_pytorch_in_ten_images():
    """PyTorch's are stored, so that this also runs where there is no PyTorch; tests/train holds them to be true."""
    detector = Detector(score_threshold=SCORE_THRESHOLD)
    stored = json.loads(DETECTIONS.read_text())
    assert [path.name for path in PHOTOS] == list(stored) and len(stored) == 10
    assert sum(map(len, stored.values())) >= 10
    for path in PHOTOS:
        expected, found = [tuple(row.values()) for row in stored[path.name]], detector(cv2.imread(str(path)))
        assert_same_detections(
            as_rows(found), expected, score_margin=1e-3, box_margin=0.5, score_threshold=SCORE_THRESHOLD
        )


@pytest.mark.parametrize("name", ["score_threshold", "nms_threshold"])
@pytest.mark.parametrize("value", [45, -0.1, float("nan"), None, "high", "0.5"], ids=str)
def test_a_threshold_set_later_is_checked(detector, name, value):
    before = getattr(detector, name)
    with pytest.raises(SqdetError, match=f"{name} is {value!r}"):
        setattr(detector, name, value)
    assert getattr(detector, name) == before


def test_a_stream_of_frames_and_what_was_found(detector, tmp_path):
    image = read("cat.jpg")
    with VideoFile(tmp_path / "clip", 10.0) as video:
        for _ in range(3):
            video.write(image)
    given = list(detector.stream(video.path))
    assert [frame.index for frame, _ in given] == [0, 1, 2]
    assert [found[0].label for _, found in given] == ["cat"] * 3
    (alone,) = detector.stream(PICTURES / "cat.jpg")
    np.testing.assert_array_equal(alone[1].boxes_xyxy, detector(image).boxes_xyxy)


def test_batch_gives_what_single_calls_give(detector):
    images = [read("cat.jpg"), read("astronaut.jpg"), read("cat.jpg")[:, ::-1]]
    for found, single in zip(detector.detect_batch(images), [detector(p) for p in images]):
        assert_same_detections(
            as_rows(found),
            as_rows(single),
            score_margin=1e-4,
            box_margin=0.05,
            score_threshold=detector.score_threshold,
        )
    assert detector.detect_batch([]) == []


def test_thresholds_can_be_set_between_calls():
    detector = Detector(score_threshold=0.05)
    image = read("astronaut.jpg")
    many = detector(image)
    detector.score_threshold = 0.5
    few = detector(image)
    assert 0 < len(few) < len(many) and few.scores.min() > 0.5
    detector.score_threshold, detector.nms_threshold = 0.05, 1.0
    assert len(detector(image)) > len(many)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (5000, 4000, 3)], ids=str)
def test_images_of_any_size(detector, shape):
    found = detector(np.full(shape, 127, np.uint8))
    height, width = shape[:2]
    assert (found.boxes_xyxy >= 0).all() and (found.boxes_xyxy <= [width, height, width, height]).all()


def test_boxes_scale_with_the_image():
    detector = Detector(score_threshold=SCORE_THRESHOLD)
    small = cv2.resize(read("astronaut.jpg"), detector.spec.input_wh)
    large = small.repeat(2, axis=0).repeat(2, axis=1)  # halving it at the input gives back the very same pixels
    found, found_large = detector(small), detector(large)
    assert len(found) > 1 and found_large.labels == found.labels
    np.testing.assert_allclose(found_large.boxes_xyxy, found.boxes_xyxy * 2, atol=0.01)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        pytest.param(None, "cv2.imread gives None", id="imread failed"),
        pytest.param("cat.jpg", "str", id="a path"),
        pytest.param(np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8", id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)", id="alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), "float32", id="float"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)", id="empty"),
    ],
)
def test_not_an_image(detector, image, said):
    with pytest.raises(SqdetError, match=said):
        detector(image)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"score_threshold": 1.5}, "score_threshold is 1.5"),
        ({"nms_threshold": -0.1}, "nms_threshold is -0.1"),
        ({"score_threshold": float("nan")}, "score_threshold is nan"),
        ({"score_threshold": "high"}, "score_threshold is 'high'"),
    ],
)
def test_thresholds_out_of_range(options, said):
    with pytest.raises(SqdetError, match=said):
        Detector(**options)


def test_unknown_backend_lists_what_there_is():
    with pytest.raises(BackendError, match="auto, cuda, cuda-fp16, openvino, .*opencv"):
        Detector(backend="tpu")


def test_missing_backend_is_refused_before_any_forward(monkeypatch):
    monkeypatch.setattr(cv2.dnn, "getAvailableTargets", lambda backend: [0] if backend == 3 else [])
    with pytest.raises(BackendError, match="'cuda'.*has opencv; it needs .*CUDA"):
        Detector(backend="cuda")
    assert Detector(backend="auto").backend.name == "opencv"


def test_model_file_errors_name_the_file(model_copy, tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.onnx: no such model file"):
        Detector(tmp_path / "nowhere.onnx")
    with pytest.raises(ModelFileError, match=r"released\.json: expected .*\.onnx"):
        Detector(tmp_path / "released.json")

    whole = model_copy.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not a model"):
        model_copy.write_bytes(damaged)
        said = r"released\.onnx: (the file is empty|OpenCV .* cannot read it as ONNX|not an ONNX file)"
        with pytest.raises(ModelFileError, match=said):
            Detector(model_copy)


def test_spec_errors_name_the_file(model_copy):
    spec_path = model_copy.with_suffix(".json")
    spec = ModelSpec.load(spec_path)
    spec.resized((416, 416), [(52, 52), (26, 26), (13, 13), (7, 7)]).save(spec_path)  # the spec of another network
    with pytest.raises(ModelFileError, match=r"released\.onnx: "):
        Detector(model_copy)
    spec_path.write_text("{}")
    with pytest.raises(ModelFileError, match=r"released\.json: .*not a model spec"):
        Detector(model_copy)
    spec_path.unlink()
    with pytest.raises(ModelFileError, match=r"released\.onnx: no model spec released\.json beside it"):
        Detector(model_copy)


def test_embedded_model_is_small_and_knows_voc():
    assert MODEL.stat().st_size <= 850_000
    _, spec = released_onnx()
    assert spec.num_classes == 20 and spec.labels[7] == "cat"
