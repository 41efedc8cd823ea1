"""NaN and infinite weights in files that are otherwise whole, wherever they stand and whatever hides them."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from sqdet_cv import Detector, ModelFileError
from sqdet_cv.dnn.finite import require_finite_onnx
from sqdet_cv.dnn.model_file import load_model
from sqdet_cv.dnn.startup import start_model
from tests.grids_model import CAFFE, CONVDET, DECODED

BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: int | bytes) -> bytes:
    """A field of protobuf's wire format."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(data_type: int, raw: bytes = b"", floats: bytes = b"") -> bytes:
    parts = field(4, floats) if floats else field(9, raw)
    return field(1, 300) + field(2, data_type) + parts + field(8, b"some.weight")


def constant_node(value: bytes) -> bytes:
    return field(2, b"out") + field(4, b"Constant") + field(5, field(1, b"value") + field(5, value))


PLACES = {
    "float32": lambda values: field(5, tensor(1, values.astype("<f4").tobytes())),
    "float16": lambda values: field(5, tensor(10, values.astype("<f2").tobytes())),
    "float64": lambda values: field(5, tensor(11, values.astype("<f8").tobytes())),
    "float_data": lambda values: field(5, tensor(1, floats=values.astype("<f4").tobytes())),
    "Constant": lambda values: field(1, constant_node(tensor(1, values.astype("<f4").tobytes()))),
}


@BAD
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_found_in_every_kind_of_tensor(place, bad: float):
    values = np.linspace(-1, 1, 300)
    model = lambda values: field(1, 8) + field(7, field(2, b"g") + place(values))  # noqa: E731
    require_finite_onnx(model(values), "a.onnx")
    values[299] = bad
    with pytest.raises(ModelFileError, match="a.onnx: some.weight holds NaN or infinite"):
        require_finite_onnx(model(values), "a.onnx")


def test_integers_whose_bits_are_those_of_nan_pass():
    nan = np.full(300, np.nan, "<f4").tobytes()
    for data_type in (2, 3, 6, 7):  # uint8, int8, int32, int64
        require_finite_onnx(field(7, field(5, tensor(data_type, nan))), "a.onnx")


def test_what_is_no_onnx_file_is_left_to_opencv():
    data, rng = DECODED.read_bytes(), np.random.default_rng(0)
    for stop in rng.integers(0, len(data), 50):
        require_finite_onnx(data[:stop], "cut.onnx")
    for _ in range(200):
        require_finite_onnx(rng.bytes(int(rng.integers(0, 2000))), "noise.onnx")
    require_finite_onnx(b"\xff" * 100_000, "endless.onnx")


def damaged(folder: Path, model: Path, name: str, bad: float) -> Path:
    """The model with the first value of that weight changed; its spec beside it."""
    data = bytearray(model.read_bytes())
    at = data.index(b"\x4a", data.index(b"\x42" + varint(len(name)) + name.encode()) + len(name))  # field 9: raw data
    start = at + (2 if data[at + 1] < 128 else 3)  # behind its length
    data[start : start + 4] = struct.pack("<f", bad)
    path = folder / "bad.onnx"
    path.write_bytes(data)
    shutil.copy(model.with_suffix(".json"), folder / "bad.json")
    return path


@BAD
@pytest.mark.parametrize("model", [CONVDET, DECODED], ids=["convdet", "decoded"])
@pytest.mark.parametrize(
    "name", ["features.conv1.weight", "features.fire2.squeeze.bias", "heads.stride64.convdet.weight"]
)
def test_detector_names_file_and_weight(tmp_path: Path, model: Path, name: str, bad: float):
    path = damaged(tmp_path, model, name, bad)
    with pytest.raises(ModelFileError, match=f"{path}: {name} "):
        Detector(path)


@BAD
def test_answers_that_are_no_numbers_are_refused(bad: float):
    """As the sums of finite weights can be."""
    net, spec = load_model(CONVDET)
    answers = [np.zeros((1, 43, 4)), np.array([[0, bad]])]
    with pytest.raises(ModelFileError, match="a.onnx: its first forward pass gives NaN"):
        start_model(net, "opencv", lambda blob: answers, spec.input_wh, "a.onnx")


@BAD
@pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 has no Caffe importer")
def test_detector_refuses_a_caffe_file(tmp_path: Path, bad: float):
    net = cv2.dnn.readNetFromCaffe(str(CAFFE.with_suffix(".prototxt")), str(CAFFE))
    weights = net.getLayer(net.getLayerId("fire2_squeeze")).blobs[0].tobytes()
    data = CAFFE.read_bytes()
    assert data.count(weights) == 1
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(data.replace(weights, struct.pack("<f", bad) + weights[4:]))
    for suffix in (".prototxt", ".json"):
        shutil.copy(CAFFE.with_suffix(suffix), path.with_suffix(suffix))
    with pytest.raises(ModelFileError, match=f"{path}: fire2_squeeze holds"):
        Detector(path)
