from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.rivals.models import Model, check_models, darknet_parameters, find_ours
from export.packed.writer import pack
from tests.helpers import make_spec
from tests.train.detectors.tiny_darknet import make_darknet
from train.checkpoints.native import save_checkpoint
from train.common.errors import TrainError
from train.models import NetConfig, SqueezeDet


def test_parameters_of_a_darknet_net(tmp_path: Path):
    cfg = make_darknet(tmp_path, classes=2)
    model = Model("tiny", False, (cfg, cfg.with_suffix(".weights")))
    assert model.parameters == 7 + 7 * 3  # bias, and a 1x1 convolution of three channels to seven
    assert model.bytes == cfg.stat().st_size + 20 + 4 * 28


@pytest.mark.parametrize(
    ("version", "header"), [((0, 1, 0), 16), ((0, 2, 0), 20), ((1, 0, 0), 20)], ids=["0.1", "0.2", "1.0"]
)
def test_header_by_version(version: tuple[int, int, int], header: int):
    weights = np.array(version, "<i4").tobytes() + bytes(header - 12) + np.ones(5, "<f4").tobytes()
    assert darknet_parameters(weights, "w") == 5


@pytest.mark.parametrize("size", [0, 11, 20, 23])
def test_weights_that_are_none(size: int):
    with pytest.raises(TrainError, match=f"w: {size} bytes are no Darknet weights"):
        darknet_parameters(np.array([0, 2, 0, 0, 0, 0], "<i4").tobytes()[:size], "w")


def test_a_checkpoint_is_exported_and_counted(tmp_path: Path):
    """Without BatchNorm every parameter of the net, and no more, is in the file, packed or not."""
    spec = make_spec(input_wh=(96, 64), grid_hw=(3, 5))
    net = SqueezeDet(
        NetConfig(head_fires=((8, 8, 8),), head_norm=False), spec.grid.anchors_per_cell, spec.num_classes
    ).eval()
    save_checkpoint(tmp_path / "best.pt", net, spec, net.state_dict(), {})
    _, model = find_ours([f"mine={tmp_path / 'best.pt'}"], tmp_path / "out")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    assert model.parameters == sum(parameter.numel() for parameter in net.parameters())
    assert model.name == "mine" and model.files[0] == tmp_path / "out" / "mine.onnx"

    packed = tmp_path / "mine.sqdet"
    packed.write_bytes(pack(model.files[0].read_bytes(), spec.to_json()))
    assert Model("packed", True, (packed,)).parameters == model.parameters


def test_digest_is_of_the_contents(tmp_path: Path):
    for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (Model(name, True, (tmp_path / name,)).digest for name in "abc")
    assert a == b != c


def test_two_of_one_name_are_refused(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"1")
    model = Model("best", True, (tmp_path / "a",))
    with pytest.raises(TrainError, match="2 models are called 'best'"):
        check_models([model, model])
