"""The stored colour classifier, whose answers are computed here in NumPy, and what Classifier says to bad input."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import BackendError, Classifier, ClassifierSpec, ModelFileError, SqdetError
from sqdet_cv.dnn.onnx_spec import without_spec
from sqdet_cv.dnn.preprocess import classifier_blob
from tests.colours import BLUE_BGR, CLASSIFIER, DETECTOR, RED_BGR
from tests.released import PICTURES


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(CLASSIFIER)


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    """A copy of the colour classifier that a test may damage; its spec is beside it and not inside it."""
    (tmp_path / "copy.onnx").write_bytes(without_spec(CLASSIFIER.read_bytes()))
    shutil.copy(CLASSIFIER.with_suffix(".json"), tmp_path / "copy.json")
    return tmp_path / "copy.onnx"


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def truth(seen_bgr: np.ndarray, spec: ClassifierSpec) -> np.ndarray:
    """Softmax over the mean of what is above 0; the model's convolution pads a ring of zeros around the input."""
    values = np.maximum((seen_bgr.astype(np.float64) - spec.mean_bgr) * spec.scale, 0)
    height, width = seen_bgr.shape[:2]
    exponentials = np.exp(values.sum(axis=(0, 1)) / ((height + 2) * (width + 2)))
    return exponentials / exponentials.sum()


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_the_formula(classifier: Classifier, seed: int):
    image = noise(32, 32, seed)  # needs no resizing
    expected = truth(image[8:24, 4:28], classifier.spec)
    probabilities = classifier.probabilities(image)
    assert probabilities.shape == (3,) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    answers = classifier(image)
    assert [answer.class_id for answer in answers] == np.argsort(-expected).tolist()
    assert [answer.label for answer in answers] == [("blue", "green", "red")[answer.class_id] for answer in answers]
    assert [answer.score for answer in answers] == sorted(probabilities.tolist(), reverse=True)


def test_top_says_how_many(classifier: Classifier):
    image = noise(40, 30)
    every = classifier(image)
    assert len(every) == 3, "five, the default, are not there"
    assert classifier(image, top=1) == every[:1]
    assert classifier(image, top=np.int64(2)) == every[:2]


def test_equal_scores_come_in_the_order_of_the_classes(classifier: Classifier):
    answers = classifier(np.zeros((5, 5, 3), np.uint8))
    assert [answer.class_id for answer in answers] == [0, 1, 2]
    assert [answer.score for answer in answers] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("resize", "border_counts"), [({}, True), ({"resize": "center_crop", "resize_side": 64}, False)], ids=str
)
def test_center_crop_leaves_the_border_out(resize: dict, border_counts: bool):
    """A red middle in a blue border, which is 1/4 of each side: of 64 pixels the middle 24 x 16 are red alone."""
    spec = ClassifierSpec(("a",), (24, 16), (0.0, 0.0, 0.0), **resize)
    image = np.full((300, 200, 3), BLUE_BGR, np.uint8)
    image[75:225, 50:150] = RED_BGR
    blob = classifier_blob(image, spec)
    assert blob.shape == (1, 3, 16, 24)
    assert blob[0, 2, 8, 12] == 255  # red in the middle
    assert (blob[0, 0].max() > 0) == border_counts


@pytest.mark.parametrize(("side", "left", "top"), [(256, 14, 14), (255, 14, 14), (227, 0, 0)])
def test_center_crop_is_caffes(side: int, left: int, top: int):
    image = noise(side, side)
    spec = ClassifierSpec(("a",), (227, 227), (0.0, 0.0, 0.0), resize="center_crop", resize_side=side)
    expected = image[top : top + 227, left : left + 227].transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(classifier_blob(image, spec), expected)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (3000, 2000, 3)], ids=str)
def test_images_of_any_size(classifier: Classifier, shape: tuple[int, ...]):
    image = np.full(shape, BLUE_BGR, np.uint8)
    expected = truth(np.full((16, 24, 3), BLUE_BGR, np.uint8), classifier.spec)
    np.testing.assert_allclose(classifier.probabilities(image), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        pytest.param(None, "cv2.imread gives None", id="imread failed"),
        pytest.param("cat.jpg", "str", id="a path"),
        pytest.param(np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8", id="grey"),
        pytest.param(np.zeros((4, 4, 3), np.float32), "float32", id="float"),
    ],
)
def test_not_an_image(classifier: Classifier, image: object, said: str):
    with pytest.raises(SqdetError, match=said):
        classifier(image)


@pytest.mark.parametrize("top", [0, -1, 1.5, "5", True, None], ids=str)
def test_not_a_number_of_answers(classifier: Classifier, top: object):
    with pytest.raises(SqdetError, match="top is .*, expected a whole number from 1"):
        classifier(noise(4, 4), top=top)


def test_backends_are_detectors_own():
    assert Classifier(CLASSIFIER, backend="opencv").backend.name == "opencv"
    with pytest.raises(BackendError, match="no backend called 'tpu'"):
        Classifier(CLASSIFIER, backend="tpu")


def test_model_file_errors_name_the_file(model_copy: Path, tmp_path: Path):
    with pytest.raises(ModelFileError, match=r"nowhere\.onnx: no such model file"):
        Classifier(tmp_path / "nowhere.onnx")
    for damaged in (b"", model_copy.read_bytes()[:200], b"not a model"):
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(damaged)
        shutil.copy(model_copy.with_suffix(".json"), tmp_path / "broken.json")
        with pytest.raises(
            ModelFileError, match=r"broken\.onnx: (the file is empty|OpenCV .* cannot read|not an ONNX file)"
        ):
            Classifier(broken)
    model_copy.with_suffix(".json").unlink()
    with pytest.raises(ModelFileError, match=r"copy\.onnx: no model spec copy\.json beside it"):
        Classifier(model_copy)


def test_a_detector_is_refused(tmp_path: Path):
    with pytest.raises(ModelFileError, match=r"detector\.json: .*not a classifier spec"):
        Classifier(DETECTOR)
    (tmp_path / "odd.onnx").write_bytes(without_spec(DETECTOR.read_bytes()))
    shutil.copy(CLASSIFIER.with_suffix(".json"), tmp_path / "odd.json")
    with pytest.raises(ModelFileError, match=r"odd\.onnx: its outputs are .*; expected probabilities"):
        Classifier(tmp_path / "odd.onnx")


def test_a_spec_with_other_classes_is_refused(model_copy: Path):
    path = model_copy.with_suffix(".json")
    dataclasses.replace(ClassifierSpec.load(path), labels=("one", "two")).save(path)
    with pytest.raises(ModelFileError, match=r"copy\.onnx: .*probabilities .*\(1, 3\).* 2 labels"):
        Classifier(model_copy)


def test_a_spec_of_another_channel_order_is_obeyed(model_copy: Path):
    """With rgb the net gets red where it looks for blue."""
    path = model_copy.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rgb": True}))
    red = np.full((10, 10, 3), RED_BGR, np.uint8)
    assert Classifier(CLASSIFIER)(red)[0].label == "red"
    assert Classifier(model_copy)(red)[0].label == "blue"


def test_an_image_stays_as_it_is(classifier: Classifier):
    image = cv2.resize(noise(8, 8), (50, 40))
    before = image.copy()
    classifier(image)
    np.testing.assert_array_equal(image, before)


def test_the_embedded_model_knows_a_cat():
    """SqueezeNet of Deep Compression, out of the package: no file to name."""
    classifier = Classifier()
    assert classifier.spec.num_classes == 1000
    found = classifier(cv2.imread(str(PICTURES / "cat.jpg")))
    assert len(found) == 5
    assert {"tabby", "tiger_cat", "Egyptian_cat"} & {one.label for one in found}
