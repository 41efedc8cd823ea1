"""Which spec counts: the one beside a model, the one inside it, or neither because they contradict each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sqdet_cv import Classifier, ClassifierSpec, Detector, ModelFileError, ModelSpec
from sqdet_cv.dnn.model_file import load_model, read_model_file
from sqdet_cv.dnn.onnx_spec import with_spec, without_spec
from tests.colours import CLASSIFIER, DETECTOR, red_and_blue_picture
from tests.helpers import make_spec


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The colour detector, with its spec inside it and beside it."""
    for suffix in (".onnx", ".json"):
        shutil.copy(DETECTOR.with_suffix(suffix), tmp_path / f"copy{suffix}")
    return tmp_path / "copy.onnx"


def test_a_lost_json_is_no_loss(copy: Path, tmp_path: Path):
    copy.with_suffix(".json").unlink()
    found, expected = (Detector(path)(red_and_blue_picture()) for path in (copy, DETECTOR))
    assert len(found) == 2 and found.labels == expected.labels
    np.testing.assert_array_equal(found.scores, expected.scores)
    shutil.copy(CLASSIFIER, tmp_path / "alone.onnx")
    assert Classifier(tmp_path / "alone.onnx").spec == ClassifierSpec.load(CLASSIFIER.with_suffix(".json"))


def test_a_file_without_a_spec_inside_needs_its_json(copy: Path):
    copy.write_bytes(without_spec(copy.read_bytes()))
    assert Detector(copy).spec == ModelSpec.load(DETECTOR.with_suffix(".json"))
    copy.with_suffix(".json").unlink()
    with pytest.raises(ModelFileError, match=r"copy\.onnx: no model spec copy\.json"):
        Detector(copy)


def test_the_json_of_another_model_is_noticed(copy: Path):
    make_spec(input_wh=(96, 64), labels=("red", "blue")).save(copy.with_suffix(".json"))
    with pytest.raises(ModelFileError, match=r"copy\.onnx: copy\.json .*inside copy\.onnx in grids$") as caught:
        Detector(copy)
    assert "\n" not in str(caught.value)


def test_the_same_spec_written_otherwise_is_none_of_another_model(copy: Path):
    path = copy.with_suffix(".json")
    path.write_text(path.read_text().replace("\n", " "))
    assert Detector(copy).spec.labels == ("red", "blue")


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        pytest.param("{}", r"copy\.onnx: the spec inside copy\.onnx: .*not a model spec", id="another JSON"),
        pytest.param("[" * 100_000, r"copy\.onnx: the spec inside copy\.onnx: .*not JSON", id="brackets"),
    ],
)
def test_a_spec_inside_that_is_none(copy: Path, inner: str, said: str):
    copy.with_suffix(".json").unlink()
    copy.write_bytes(with_spec(copy.read_bytes(), inner))
    with pytest.raises(ModelFileError, match=said):
        Detector(copy)


def test_a_truncated_file_is_named(copy: Path):
    whole = copy.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 1):
        copy.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"copy\.onnx: not an ONNX file, or a damaged one"):
            load_model(copy)


@pytest.mark.parametrize(("path", "kind"), [(DETECTOR, ModelSpec), (CLASSIFIER, ClassifierSpec), (None, ModelSpec)])
def test_the_kind_of_a_file(path: Path | None, kind: type):
    assert read_model_file(path).spec_type is kind
