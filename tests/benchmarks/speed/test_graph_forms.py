"""Every form of the graph computes what the exported one does, in OpenCV and, step by step, in NumPy."""

import cv2
import numpy as np
import onnx
import pytest
import torch
from benchmarks.forms import FORMS, exported, write_forms

from benchmarks.speed.graph_forms import BASE, largest_difference, load_runners, main, sample_blob
from export.graph.trace import trace
from export.onnx.model import INPUT
from sqdet_cv.spec.detector_spec import ModelSpec
from train.models import SqueezeDet, build_net

LABELS = ("cat", "dog", "person")
ANCHORS = ((12.0, 20.0), (40.0, 30.0))


def make_net(name: str, size_wh: tuple[int, int]) -> tuple[SqueezeDet, ModelSpec]:
    """A net whose outputs differ from anchor to anchor; a fresh one says nearly the same everywhere."""
    torch.manual_seed(3)
    net = build_net(name, len(ANCHORS), len(LABELS)).eval()
    torch.nn.init.normal_(net.convdet.weight, std=0.05)
    torch.nn.init.normal_(net.convdet.bias, std=0.5)
    return net, ModelSpec(LABELS, size_wh, net.grid_hw(size_wh), ANCHORS, grid_inset=net.grid_inset)


@pytest.fixture(scope="module", params=["sqdet", "squeezedet"])
def runners(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_forms(*make_net(request.param, (96, 64)), folder)
    return load_runners(folder)


@pytest.mark.parametrize("form", FORMS)
def test_form_computes_what_the_base_form_does(runners, form):
    # noise as weak as this keeps softmax and sigmoid away from 0 and 1, where every error vanishes
    blob = sample_blob(runners[BASE].spec) / 10
    expected = runners[BASE](blob)
    assert all(tensor.std() > 0.01 for tensor in expected.values())
    assert largest_difference(runners[form](blob), expected) < 1e-5


def node_types(folder, form):
    return [node.op_type for node in onnx.load(folder / f"{form}.onnx").graph.node]


def test_forms_differ_from_the_base_in_what_they_are_called_after(tmp_path):
    write_forms(*make_net("sqdet", (96, 64)), tmp_path)
    base = node_types(tmp_path, BASE)
    assert base.count("Concat") == 10 and base.count("Relu") == 31
    assert node_types(tmp_path, "merge_expand").count("Concat") == 0
    assert node_types(tmp_path, "split_squeeze").count("Concat") == 0
    assert node_types(tmp_path, "split_squeeze").count("Add") == 10
    assert node_types(tmp_path, "relu_after_concat").count("Relu") == 21
    assert "Relu" not in node_types(tmp_path, "leaky_relu")
    assert node_types(tmp_path, "three_convdets").count("Conv") == base.count("Conv") + 2
    assert not {"Softmax", "Sigmoid"} & set(node_types(tmp_path, "logits"))
    assert node_types(tmp_path, "grid")[-1] == "Conv"


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        pytest.param([1.0, 2.0, 3.5], 0.5, id="value"),
        pytest.param([1.0, 2.0], np.inf, id="shape"),
        pytest.param([1.0, np.nan, 3.0], np.nan, id="nan"),
    ],
)
def test_difference(changed, difference):
    expected = {"deltas": np.zeros(2), "confidence": np.array([1.0, 2.0, 3.0])}
    found = expected | {"confidence": np.array(changed)}
    np.testing.assert_equal(largest_difference(found, expected), difference)


def test_time_prints_a_row_for_every_form(tmp_path, capsys):
    write_forms(*make_net("sqdet", (96, 64)), tmp_path)
    main(["time", str(tmp_path), "--rounds", "1", "--threads", "1"])
    title, header, *rows = capsys.readouterr().out.strip().splitlines()
    assert title.startswith(f"OpenCV {cv2.__version__}, 1 threads, 96 x 64 px")
    assert {row[:20].strip() for row in rows} >= FORMS.keys()
    median, lowest, ratio, cpu, cpu_ratio = map(float, next(row for row in rows if row.startswith("base ")).split()[1:])
    assert median == lowest > 0 and cpu > 0 and ratio == cpu_ratio == 1


def test_a_form_that_computes_something_else_is_an_error(tmp_path, capfd):
    net, spec = make_net("sqdet", (96, 64))
    write_forms(net, spec, tmp_path)
    net.convdet.bias.data += 0.01
    onnx.save(exported(trace(net, INPUT), spec), tmp_path / "other.onnx")
    with pytest.raises(SystemExit, match="ended"):
        main(["time", str(tmp_path), "--rounds", "1"])
    assert "other differs from base by 0.01" in capfd.readouterr().err


def test_folder_without_a_base_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match=r"no base\.onnx"):
        load_runners(tmp_path)
