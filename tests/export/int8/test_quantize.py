"""Quantisers, weights and the graph; the command, and Detector on what it writes."""

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.__main__ import main
from export.check import sample_pictures
from export.errors import ExportError
from export.graph.trace import Layer, trace
from export.int8.calibrate import Range, collect_ranges
from export.int8.quantize import Int8Builder, QuantisedConv, Quantiser, choose_quantisers, stored
from export.onnx.model import HEADS, INPUT, build_detector
from sqdet_cv import Detector, ModelSpec
from sqdet_cv.boxes.ops import decode
from sqdet_cv.dnn.onnx_spec import read_spec
from tests.released import PHOTOS
from tests.write_int8_model import tiny_detector
from train.checkpoints.native import save_checkpoint

from ..commands.test_onnx import make_net

RANGES = st.tuples(st.floats(-1e4, 0), st.floats(0, 1e4)).map(lambda ends: Range(*ends))


@pytest.mark.parametrize(
    ("covered", "scale", "zero_point"),
    [
        pytest.param(Range(0, 25.5), 0.1, 0, id="after ReLU"),
        pytest.param(Range(-25.5, 0), 0.1, 255, id="negative only"),
        pytest.param(Range(-5, 20.5), 0.1, 50, id="signed"),
        pytest.param(Range(0, 0), 1e-12, 0, id="dead"),
    ],
)
def test_quantiser_of_a_range(covered, scale, zero_point):
    quantiser = Quantiser.of_range(covered)
    assert quantiser.scale == pytest.approx(scale, rel=1e-6) and quantiser.zero_point == zero_point
    assert quantiser.scale.dtype == np.float32 and quantiser.zero_point.dtype == np.uint8


@given(RANGES)
def test_every_value_of_the_range_is_within_one_step(covered):
    quantiser = Quantiser.of_range(covered)
    values = np.linspace(covered.low, covered.high, 100)
    codes = np.clip(np.rint(values / quantiser.scale) + quantiser.zero_point, 0, 255)
    back = quantiser.scale * (codes - quantiser.zero_point)
    assert np.abs(back - values).max() <= 1.001 * quantiser.scale  # half a step, and as much where an end is cut off


def test_weights_have_a_scale_for_each_output_channel():
    rng = np.random.default_rng(0)
    strength = np.float32([1e-3, 1, 50, 0])
    weight = rng.normal(0, 1, (4, 5, 3, 3)).astype(np.float32) * strength[:, None, None, None]
    bias = np.float32([0.01, -3, 100, 0.2])
    conv = QuantisedConv.of_layer(Layer("conv", "conv", [INPUT], weight, bias), np.float32(0.25))
    assert conv.weight.dtype == np.int8 and conv.bias.dtype == np.int32
    back = conv.weight * conv.weight_scale[:, None, None, None]
    for i in range(3):  # each to half its own step, and uses all of its steps
        assert np.abs(back[i] - weight[i]).max() <= np.abs(weight[i]).max() / 127 / 2 * 1.001
        assert np.abs(conv.weight[i].astype(int)).max() == 127
    assert not conv.weight[3].any()
    np.testing.assert_allclose(conv.bias_scale, 0.25 * conv.weight_scale)
    assert (np.abs(conv.bias * conv.bias_scale - bias)[:3] <= 0.501 * conv.bias_scale[:3]).all()


@pytest.mark.parametrize("input_scale", [0.25, 1e-12], ids=["input", "input that was always 0"])
def test_a_bias_beside_small_weights_or_none_is_kept(input_scale):
    """A pruned filter's bias was cut to 2^30 of its tiny steps: 0.00002 instead of 1.5."""
    weight = np.float32([0, 1e-9, 0.3])[:, None, None, None] * np.ones((3, 3, 1, 1), np.float32)
    bias = np.float32([-7, 1.5, 0.2])
    conv = QuantisedConv.of_layer(Layer("conv", "conv", [INPUT], weight, bias), np.float32(input_scale))
    np.testing.assert_allclose(conv.bias * conv.bias_scale.astype(np.float64), bias, rtol=1e-3)
    assert np.abs(conv.bias.astype(np.int64)).max() <= 2**30 + 2**10


def quantised_tiny() -> tuple[list[Layer], dict[str, Quantiser], onnx.ModelProto]:
    net, spec = tiny_detector()
    layers = trace(net, INPUT)
    quantisers = choose_quantisers(layers, collect_ranges(layers, spec, PHOTOS[:2]))
    return layers, quantisers, build_detector(Int8Builder(quantisers), layers, spec, "convdet")


def test_what_is_joined_or_passed_on_shares_one_scale():
    _, quantisers, _ = quantised_tiny()
    fire2 = [f"layers.fire2{part}" for part in ("", ".expand_1x1.relu", ".expand_3x3.relu")]
    assert len({quantisers[name] for name in (*fire2, "layers.pool2")}) == 1
    assert quantisers["layers.pool1"] == quantisers["layers.conv1.relu"] != quantisers["layers.pool2"]
    ranges = [Range(0, 1), Range(-2, 1), Range(0, 7), Range(0, 5)]
    layers = [  # b is joined with a and with c: all three share, and what both give
        Layer("a", "relu", ["x"]),
        Layer("b", "leaky_relu", ["x"]),
        Layer("c", "relu", ["x"]),
        Layer("ab", "concat", ["a", "b"]),
        Layer("bc", "concat", ["b", "c"]),
        Layer("last", "conv", ["bc"]),
        Layer("other", "conv", ["ab"]),
    ]
    seen = dict(zip("abcx", ranges)) | {"ab": Range(-2, 1), "bc": Range(-2, 7)}
    seen |= dict.fromkeys(["last", "other"], Range(-1, 1))
    shared = choose_quantisers(layers, seen)
    assert set(shared) == {"a", "b", "c", "ab", "bc"}
    assert set(shared.values()) == {Quantiser.of_range(Range(-2, 7))}


def test_the_graph_has_the_form_that_importers_turn_into_integers():
    layers, _, model = quantised_tiny()
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 13
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    may_follow = {  # no Relu: the zero point does it
        "Conv": {"DequantizeLinear"},
        "QuantizeLinear": {"Conv", "LeakyRelu"},
        "Concat": {"QuantizeLinear"},
        "MaxPool": {"QuantizeLinear", "Concat"},
    }
    for node in model.graph.node:
        if node.op_type in may_follow:
            assert {producers[name] for name in node.input if name in producers} <= may_follow[node.op_type]
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for layer in layers:
        if layer.kind == "conv":
            assert arrays[f"{layer.name}.weight.stored"].dtype == np.int8
            assert arrays[f"{layer.name}.weight.scale"].shape == layer.bias.shape
            assert arrays[f"{layer.name}.bias.stored"].dtype == np.int32
    scalars = {name: array for name, array in arrays.items() if name.endswith("zero_point") and array.ndim == 0}
    assert {array.dtype for array in scalars.values()} == {np.dtype(np.uint8)}


def test_relu_stays_where_its_scale_also_holds_negative_values():
    quantisers = {INPUT: Quantiser(np.float32(1), np.uint8(128)), "relu": Quantiser(np.float32(1), np.uint8(10))}
    builder = Int8Builder(quantisers)
    builder.add_layer(Layer("relu", "relu", ["conv"]))
    assert [node.op_type for node in builder.nodes[-2:]] == ["Relu", "QuantizeLinear"]
    assert builder.nodes[-1].output[0] == stored("relu")


def test_kinds_without_an_int8_form_are_named():
    builder = Int8Builder({INPUT: Quantiser(np.float32(1), np.uint8(0))})
    with pytest.raises(ExportError, match="pool10: a layer of kind average_pool cannot be quantised"):
        builder.add_layer(Layer("pool10", "average_pool", [INPUT]))


@pytest.fixture
def checkpoint(tmp_path, monkeypatch, request):
    """net.pt in the current folder, and photos.txt: three images."""
    monkeypatch.chdir(tmp_path)
    net, spec = make_net(getattr(request, "param", "sqdet"))
    save_checkpoint("net.pt", net, spec, net.state_dict(), {})
    (tmp_path / "photos.txt").write_text("".join(f"{path.resolve()}\n" for path in PHOTOS[:3]))
    return tmp_path


INT8 = ["--int8", "--calibrate", "photos.txt"]


@pytest.mark.parametrize(
    ("checkpoint", "options", "grid_hw"),
    [
        pytest.param("sqdet", [], (3, 5), id="plain"),
        pytest.param("sqdet", ["--head", "decoded", "--size", "128x96"], (5, 7), id="decoded, another size"),
        pytest.param("sqdet", ["--size", "160", "--crop", "1"], (7, 7), id="cropped"),
        pytest.param("squeezedet-fpn", [], (8, 12), id="four grids"),
        pytest.param("squeezedet-fpn", ["--head", "decoded"], (8, 12), id="four grids, decoded"),
    ],
    indirect=["checkpoint"],
)
def test_command_writes_a_file_that_detector_runs(checkpoint, capsys, options, grid_hw):
    assert main(["onnx", "net.pt", *options, "--out", "float.onnx"]) == 0
    assert main(["onnx", "net.pt", *INT8, *options, "--out", "int8.onnx"]) == 0
    assert "every layer is as quantised; from the float net it differs by up to" in capsys.readouterr().out
    assert ModelSpec.load("int8.json") == ModelSpec.load("float.json")
    assert ModelSpec.load("int8.json").grids[0].hw == grid_hw
    for name in ("int8", "float"):
        assert read_spec((checkpoint / f"{name}.onnx").read_bytes()) == (checkpoint / f"{name}.json").read_text()
    assert (checkpoint / "int8.onnx").stat().st_size < 0.3 * (checkpoint / "float.onnx").stat().st_size
    head = "decoded" if "decoded" in options else "convdet"
    assert {output.name for output in onnx.load("int8.onnx").graph.output} == set(HEADS[head])
    boxes, scores = zip(*(_boxes_and_scores(Detector(name)) for name in ("int8.onnx", "float.onnx")))
    for int8, float_ in (boxes, scores):
        assert 0 < np.abs(int8 - float_).mean() < 0.08 * float_.std()


def _boxes_and_scores(detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    images = [cv2.resize(image, detector.spec.input_wh) for image in sample_pictures(1)]
    blob = cv2.dnn.blobFromImages(images, mean=detector.spec.mean_bgr)
    outputs = detector.forward(blob)
    if len(outputs) == 2:
        return outputs[0], outputs[1]
    deltas, class_scores, confidence = outputs
    return decode(deltas[0], detector.spec), class_scores * confidence[..., None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--int8"], "--int8 and --calibrate LIST need each other", id="no images"),
        pytest.param(["--calibrate", "photos.txt"], "--int8 and --calibrate LIST need each other", id="no --int8"),
        pytest.param([*INT8, "--half"], "--int8 --half: the weights are stored either", id="half"),
        pytest.param(["--int8", "--calibrate", "no.txt"], "--calibrate no.txt: cannot be read", id="missing list"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_written(checkpoint, capsys, options, said):
    assert main(["onnx", "net.pt", *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(path.name for path in checkpoint.iterdir()) == ["net.pt", "photos.txt"]


def test_a_missing_picture_is_named_before_the_checkpoint_is_read(checkpoint, capsys):
    (checkpoint / "photos.txt").write_text("nowhere.jpg\n")
    assert main(["onnx", "not_there_either.pt", *INT8]) == 2
    assert "photos.txt: line 1: no such image: nowhere.jpg" in capsys.readouterr().err


def test_failed_check_leaves_nothing_behind(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr("export.int8.check.MOVED_SHARE", -1.0)
    assert main(["onnx", "net.pt", *INT8]) == 2
    assert "steps (allowed 1)" in capsys.readouterr().err
    assert sorted(path.name for path in checkpoint.iterdir()) == ["net.pt", "photos.txt"]
