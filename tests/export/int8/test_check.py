"""The check of int8 files finds what is wrong in one."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.errors import ExportError
from export.graph.trace import trace
from export.int8.calibrate import collect_ranges
from export.int8.check import check_int8
from export.int8.quantize import Int8Builder, choose_quantisers
from export.int8.reference import Int8Net
from export.onnx.model import INPUT, build_detector
from tests.released import PHOTOS
from tests.write_int8_model import tiny_detector


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, tuple]:
    """A file, and what `check_int8` needs beside it."""
    net, spec = tiny_detector()
    layers = trace(net, INPUT)
    quantisers = choose_quantisers(layers, collect_ranges(layers, spec, PHOTOS[:2]))
    path = tmp_path_factory.mktemp("int8") / "tiny.onnx"
    onnx.save(build_detector(Int8Builder(quantisers), layers, spec, "decoded"), path)
    return path, (net, Int8Net(net, layers, quantisers), spec, "decoded", 0)


def test_a_good_file_passes_and_the_cost_is_measured(exported):
    path, rest = exported
    score_error, box_error = check_int8(str(path), path.read_bytes(), *rest)
    assert 1e-3 < score_error < 0.5 and 0.1 < box_error < 20  # far more than what the check allows OpenCV


def constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    def damage(model: onnx.ModelProto) -> None:
        (tensor,) = [one for one in model.graph.initializer if one.name == name]
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.numpy_helper.from_array(change(array).astype(array.dtype), name))

    return damage


def relu_where_leaky(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if node.name == "layers.fire3.squeeze.relu"]
    node.op_type = "Relu"
    node.ClearField("attribute")


def swapped_concat(model: onnx.ModelProto) -> None:
    (node,) = [node for node in model.graph.node if node.name.startswith("layers.fire2.uint8")]
    node.input[:] = reversed(node.input)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(constant("layers.fire2.squeeze.weight.stored", lambda w: w + (w == 127) * -20), "fire2.squeeze"),
        pytest.param(constant("layers.fire3.expand_3x3.bias.stored", lambda b: b + 99), "fire3.expand_3x3"),
        pytest.param(constant("layers.conv1.weight.scale", lambda s: s * 1.01), "conv1", id="weight scale"),
        pytest.param(constant("layers.fire2.expand_3x3.input.zero_point", lambda z: z + 1), "fire2.expand_3x3"),
        pytest.param(constant("layers.conv1.relu.scale", lambda s: s * 2), "conv1", id="output scale"),
        pytest.param(constant("layers.convdet.weight.stored", lambda w: w * 0.98), "in boxes", id="ConvDet"),
        pytest.param(constant("anchor_wh", lambda wh: wh * 1.02), "in boxes", id="decoding"),
        pytest.param(relu_where_leaky, "fire3.squeeze", id="activation"),
        pytest.param(swapped_concat, "fire3.squeeze", id="order of a Concat"),
    ],
)
def test_a_damaged_file_fails(exported, damage, said):
    path, rest = exported
    model = onnx.load(path)
    damage(model)
    with pytest.raises(ExportError, match=f"damaged.onnx: OpenCV .* differs .*{said}"):
        check_int8("damaged.onnx", model.SerializeToString(), *rest)


@pytest.mark.parametrize("field", ["weight", "bias"])
def test_integers_of_another_net_fail(exported, field):
    """File and arithmetic agree, but not with the float net: as when a pruned filter's bias was cut off."""
    path, (net, int8_net, *rest) = exported
    other = copy.copy(int8_net)
    i = next(i for i, layer in enumerate(other.layers) if layer.name.endswith("fire2.squeeze"))
    value = getattr(other.layers[i], field).copy()
    value[0] += 50
    other.layers = [*other.layers[:i], dataclasses.replace(other.layers[i], **{field: value}), *other.layers[i + 1 :]]
    with pytest.raises(ExportError, match="fire2.squeeze: 8 bits move channel 0"):
        check_int8(str(path), path.read_bytes(), net, other, *rest)
