"""Exported models in PyTorch: the stored detections are what it finds with the released weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import onnx
import pytest
import torch

from export.geometry import cropped
from export.graph.trace import trace
from export.onnx.model import INPUT, detector_model
from export.packed.writer import pack
from sqdet_cv.dnn.onnx_spec import without_spec
from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import make_spec
from tests.released import DETECTIONS, PHOTOS, SCORE_THRESHOLD, released_net
from tests.same_detections import as_rows, assert_same_detections
from train.checkpoints.exported import SUFFIXES
from train.checkpoints.native import net_from_checkpoint
from train.common.errors import TrainError
from train.detectors.pytorch import TorchDetector
from train.models import AnyConfig, AnyNet, FpnConfig, NetConfig, SqueezeDet
from train.models.fuse import fuse_batchnorm
from train.trainers.detection_config import FitConfig


def test_stored_detections_are_pytorchs():
    detector = TorchDetector(*released_net(), score_threshold=SCORE_THRESHOLD)
    stored = json.loads(DETECTIONS.read_text())
    for path in PHOTOS:
        found = detector(cv2.imread(str(path)))
        expected = [tuple(row.values()) for row in stored[path.name]]
        assert_same_detections(
            as_rows(found), expected, score_margin=1e-4, box_margin=0.05, score_threshold=SCORE_THRESHOLD
        )


CONFIGS = {
    "ours": NetConfig(head_fires=((4, 6, 6), (4, 6, 10)), head_norm=True, convdet_kernel=1, convdet_padding=0),
    "narrow, LeakyReLU": NetConfig(
        backbone_fires=((8, 16, 16),) * 7 + ((8, 16, 32),), head_fires=((4, 6, 6),), leaky_slope=0.1, dropout=0.0
    ),
    "2017": NetConfig(backbone="1.0", conv10_channels=7, head_fires=((4, 6, 6),), convdet_padding=0),
    "four grids": FpnConfig(backbone_fires=((8, 16, 16),) * 8, coarse_fires=((8, 16, 8),) * 2, width=16, fine_width=8),
}


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".ONNX", ".SQDET"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_exported_net_comes_back_whole(config: AnyConfig, suffix: str, tmp_path: Path):
    torch.manual_seed(0)
    net = config.build(2, 5).eval()
    path = export(net, tmp_path, suffix)
    again, spec = net_from_checkpoint(path)
    assert spec == spec_of(net)
    expected = fuse_batchnorm(net)
    assert again.state_dict().keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        for said, right in zip(
            vars(again.split(again(images))).values(), vars(expected.split(expected(images))).values()
        ):
            torch.testing.assert_close(said, right, rtol=1e-4, atol=1e-5)


def spec_of(net: AnyNet) -> ModelSpec:
    return replace(make_spec(), grids=net.make_grids((96, 64), make_spec().grid.anchors_wh))


def export(net: AnyNet, folder: Path, suffix: str, crop: int = 0) -> Path:
    spec = spec_of(net)
    if crop:
        spec = cropped(spec, crop)
    data = detector_model(trace(net, INPUT), spec, "convdet", crop=crop).SerializeToString()
    path = folder / f"net{suffix}"
    spec.save(path.with_suffix(".json"))
    path.write_bytes(pack(data, spec.to_json()) if suffix.lower() == ".sqdet" else data)
    return path


def test_a_run_begins_with_the_shape_of_a_released_net(tmp_path: Path):
    net = SqueezeDet(CONFIGS["narrow, LeakyReLU"], 2, 5)
    config = FitConfig(net="init", init=str(export(net.eval(), tmp_path, ".sqdet")), dropout=0.3).net_config
    assert (config.backbone_fires, config.leaky_slope) == (net.config.backbone_fires, pytest.approx(0.1))
    assert config.head_norm and not config.backbone_norm and config.dropout == 0.3
    with pytest.raises(TrainError, match="--net init needs --init"):
        FitConfig(net="init")


def no_layer(path: Path) -> None:
    model = onnx.load(path)
    next(item for item in model.graph.initializer if item.name == "head.fire10.squeeze.weight").name = "other"
    onnx.save(model, path)


def no_number(path: Path) -> None:
    model = onnx.load(path)
    item = next(item for item in model.graph.initializer if item.name == "head.fire10.squeeze.weight")
    values = onnx.numpy_helper.to_array(item).copy()
    values[-1] = float("inf")
    item.CopyFrom(onnx.numpy_helper.from_array(values, item.name))
    onnx.save(model, path)


def no_spec(path: Path) -> None:
    path.with_suffix(".json").unlink()
    path.write_bytes(without_spec(path.read_bytes()))


BAD = {
    "missing": (Path.unlink, "no such model file"),
    "empty": (lambda path: path.write_bytes(b""), "not a detector as"),
    "text": (lambda path: path.write_text("hello"), "not an ONNX file"),
    "no spec": (no_spec, "no model spec net.json"),
    "a spec of something else": (lambda path: path.with_suffix(".json").write_text("{}"), "net.json: "),
    "a spec of another model": (lambda path: make_spec().save(path.with_suffix(".json")), "net.json is of another"),
    "a layer missing": (no_layer, "not a detector as .*head.fire10.squeeze.weight"),
    "a weight that is no number": (no_number, "head.fire10.squeeze.weight holds NaN or infinite"),
}


@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_a_file_of_no_use_is_named(damage, message: str, tmp_path: Path):
    path = export(SqueezeDet(CONFIGS["ours"], 2, 5).eval(), tmp_path, ".onnx")
    damage(path)
    with pytest.raises(TrainError, match=message) as caught:
        net_from_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_spec_inside_serves_where_the_json_is_lost(tmp_path: Path):
    path = export(SqueezeDet(CONFIGS["ours"], 2, 5).eval(), tmp_path, ".onnx")
    spec = ModelSpec.load(path.with_suffix(".json"))
    path.with_suffix(".json").unlink()
    assert net_from_checkpoint(path)[1] == spec


def test_a_cropped_export_is_refused(tmp_path: Path):
    path = export(SqueezeDet(CONFIGS["ours"], 2, 5).eval(), tmp_path, ".onnx", crop=1)
    with pytest.raises(TrainError, match="exported with --crop"):
        net_from_checkpoint(path)
