"""Inputs, outputs and parameters of the stored models, and of files that are none."""

from __future__ import annotations

import pytest

from sqdet_cv import ModelFileError
from sqdet_cv.dnn.outline import caffe_outline, onnx_outline
from sqdet_cv.dnn.protobuf import fields, varint
from tests.colours import CLASSIFIER, DETECTOR
from tests.grids_model import CAFFE, CONVDET, DECODED
from tests.int8_model import MODEL as INT8


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def test_a_detector_by_hand():
    """Three convolutions, 3 x 3 of 4 x 4, again, and 14 x 3 of 2 x 2; its anchors are no parameters."""
    outline = onnx_outline(DETECTOR.read_bytes())
    assert outline.inputs == {"image": (1, 3, 64, 96)} and outline.outputs == ("boxes_xyxy", "scores")
    assert outline.parameters == 2 * (3 * 3 * 16 + 3) + 14 * 3 * 4 + 14


def test_a_classifier_by_hand():
    outline = onnx_outline(CLASSIFIER.read_bytes())
    assert outline.inputs == {"image": (1, 3, 16, 24)} and outline.outputs == ("probabilities",)
    assert outline.parameters == 3 * 3 + 3


def test_the_head_makes_no_difference():
    assert onnx_outline(CONVDET.read_bytes()).parameters == onnx_outline(DECODED.read_bytes()).parameters > 0


def test_scales_of_int8_are_no_parameters():
    onnx = pytest.importorskip("onnx")
    stored = {
        item.name: item for item in onnx.load(INT8).graph.initializer if item.name.endswith((".stored", ".weight"))
    }
    assert onnx_outline(INT8.read_bytes()).parameters == sum(
        onnx.numpy_helper.to_array(item).size for item in stored.values()
    )


def test_a_caffe_net():
    """That of four grids; it enlarges by convolutions of its own, 48 numbers in all."""
    outline = caffe_outline(CAFFE.read_bytes())
    assert outline.outputs == ("delta_bbox", "class_scores", "conf_scores") and outline.inputs == {}
    assert outline.parameters == onnx_outline(CONVDET.read_bytes()).parameters + 48


def test_open_sizes_and_initializers_among_the_inputs():
    size = lambda value: field(1, value)  # noqa: E731
    shape = size(b"\x12\x05batch") + size(b"\x08\x03")
    image = field(1, b"image") + field(2, field(1, field(2, shape)))
    weight = b"\x08\x02\x08\x05" + field(8, b"w")  # two by five
    node = field(1, b"image") + field(1, b"w") + field(2, b"y") + field(4, b"MatMul")
    graph = field(1, node) + field(5, weight) + field(11, image) + field(11, field(1, b"w")) + field(12, field(1, b"y"))
    assert onnx_outline(field(7, graph)) == ({"image": (None, 3)}, ("y",), 10)


@pytest.mark.parametrize("read", [onnx_outline, caffe_outline])
@pytest.mark.parametrize("data", [b"", b"hello", b"\x08\x08", field(7, b"\xff"), field(100, b"\xff")])
def test_no_model(read, data: bytes):
    with pytest.raises(ModelFileError):
        read(data)


def test_every_truncation_of_a_graph_is_an_error():
    data = DETECTOR.read_bytes()
    (stop,) = (one.stop for one in fields(memoryview(data)) if one.number == 7)
    for length in range(0, stop, 7):
        with pytest.raises(ModelFileError):
            onnx_outline(data[:length])
