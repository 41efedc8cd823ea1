from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export.packed.writer import pack
from sqdet_cv.spec.detector_spec import ModelSpec
from tests.helpers import make_spec
from train.checkpoints.initialize import initialise, load_imagenet_archive
from train.checkpoints.native import save_checkpoint
from train.common.errors import TrainError
from train.models import FpnConfig, NetConfig, SqueezeDet, SqueezeDetFpn, SqueezeNet
from train.models.squeezenet import FIRES, SqueezeNetFeatures

CONFIG = NetConfig(head_fires=((4, 6, 6),), head_norm=True, convdet_kernel=1, convdet_padding=0)


def make_net(classes: int = 5, **changes: object) -> SqueezeDet:
    return SqueezeDet(NetConfig(**(vars(CONFIG) | changes)), 2, classes)


def make_archive(path: Path, classes: int = 7) -> dict[str, np.ndarray]:
    """A SqueezeNet v1.1 in Caffe's names, with random numbers."""
    rng = np.random.default_rng(0)
    shapes = {"conv1": (64, 3, 3, 3), "conv10": (classes, 512, 1, 1)}
    channels = 64
    for name, (squeeze, one, three) in FIRES.items():
        shapes[f"{name}/squeeze1x1"] = (squeeze, channels, 1, 1)
        shapes[f"{name}/expand1x1"], shapes[f"{name}/expand3x3"] = (one, squeeze, 1, 1), (three, squeeze, 3, 3)
        channels = one + three
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}/weights"] = rng.normal(size=shape).astype(np.float16)
        arrays[f"{name}/bias"] = rng.normal(size=shape[0]).astype(np.float16)
    np.savez(path, **arrays)
    return arrays


def test_an_archive_fills_the_backbone(tmp_path: Path):
    arrays, net = make_archive(tmp_path / "a.npz"), make_net()
    line = initialise(net, tmp_path / "a.npz").line
    # 1 + 8 x 3 backbone layers of those, and 3 convolutions and 3 norms of the head, and ConvDet
    assert line.startswith("a.npz: 25 of 32 layers; new: head.fire10.squeeze.0.weight, ")
    state = net.state_dict()
    for own, theirs in {
        "features.conv1.weight": "conv1/weights",
        "features.fire4.squeeze.0.bias": "fire4/squeeze1x1/bias",
        "features.fire9.expand_3x3.0.weight": "fire9/expand3x3/weights",
        "features.fire2.expand_1x1.0.weight": "fire2/expand1x1/weights",
    }.items():
        np.testing.assert_array_equal(state[own].numpy(), arrays[theirs].astype(np.float32))


def test_an_archive_fills_the_classifier_and_its_features(tmp_path: Path):
    arrays = make_archive(tmp_path / "a.npz")
    model, features = SqueezeNet("1.1", num_classes=7), SqueezeNetFeatures("1.1")
    load_imagenet_archive(model, tmp_path / "a.npz")
    load_imagenet_archive(features, tmp_path / "a.npz")
    np.testing.assert_array_equal(model.conv10.bias.detach().numpy(), arrays["conv10/bias"].astype(np.float32))
    assert torch.equal(model.features.fire3.squeeze[0].weight, features.fire3.squeeze[0].weight)


@pytest.mark.parametrize(
    "model", [SqueezeNet("1.1", num_classes=8), SqueezeNet("1.0", num_classes=7)], ids=["classes", "v1.0"]
)
def test_an_archive_of_another_net_is_refused(tmp_path: Path, model: SqueezeNet):
    make_archive(tmp_path / "a.npz")
    with pytest.raises(TrainError, match=r"a\.npz: no array of shape .* for "):
        load_imagenet_archive(model, tmp_path / "a.npz")


def test_a_checkpoint_fills_what_fits(tmp_path: Path):
    source, target = make_net(classes=5), make_net(classes=3)
    averaged = {name: value + 1 for name, value in source.state_dict().items()}
    save_checkpoint(tmp_path / "c.pt", source, make_spec(), averaged, {})
    before = target.convdet.weight.detach().clone()
    assert initialise(target, tmp_path / "c.pt").line == "c.pt: 31 of 32 layers; new: convdet.weight"
    assert torch.equal(target.convdet.weight, before)
    assert torch.equal(target.head.fire10.squeeze[1].running_mean, averaged["head.fire10.squeeze.1.running_mean"])
    assert initialise(make_net(classes=5), tmp_path / "c.pt").line == "c.pt: 32 of 32 layers; new: none"


def test_a_net_on_four_grids_keeps_what_it_knows_of_boxes_and_of_classes_of_the_same_name(tmp_path: Path):
    shape = FpnConfig(width=16, fine_width=8)
    source, target = SqueezeDetFpn(shape, 3), SqueezeDetFpn(shape, 2)
    spec = ModelSpec(("cat", "dog", "cow"), (64, 64), source.make_grids((64, 64)))
    save_checkpoint(tmp_path / "c.pt", source, spec, source.state_dict(), {})
    before = {name: value.clone() for name, value in target.state_dict().items()}
    assert initialise(target, tmp_path / "c.pt", ("cow", "hen")).line.endswith("new: none")
    for stride, head in target.heads.items():
        theirs = source.heads[stride].convdet
        for kind in ("weight", "bias"):
            own, known = getattr(head.convdet, kind), getattr(theirs, kind)
            assert torch.equal(own[0], known[2])
            assert torch.equal(own[1], before[f"heads.{stride}.convdet.{kind}"][1])
            assert torch.equal(own[2:], known[3:])


# -- released models ------------------------------------------------------------------------------------------


def _save_onnx(path: Path, arrays: dict[str, np.ndarray]) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    onnx.save(helper.make_model(graph), str(path))


def _folded(net: SqueezeDet) -> dict[str, np.ndarray]:
    """Weights as our exports name them: LAYER.weight, LAYER.bias, BatchNorm multiplied in (written out here)."""
    arrays = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            layer = name.removesuffix(".0")
            weight = module.weight.detach().double()
            bias = torch.zeros(len(weight)).double() if module.bias is None else module.bias.detach().double()
            if module.bias is None:
                norm = net.get_submodule(f"{layer}.1")
                factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
                weight = weight * factor[:, None, None, None]
                bias = norm.bias.double() + (bias - norm.running_mean.double()) * factor
            arrays |= {
                f"{layer}.weight": weight.float().detach().numpy(),
                f"{layer}.bias": bias.float().detach().numpy(),
            }
    return arrays


@pytest.mark.parametrize("norm", [True, False], ids=["into BatchNorm", "into plain convolutions"])
def test_a_released_model_gives_a_net_that_computes_the_same(tmp_path: Path, norm: bool):
    torch.manual_seed(0)
    source = make_net().eval()
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 2)
            for value in (module.bias.data, module.running_mean):
                value.normal_()
    _save_onnx(tmp_path / "m.onnx", _folded(source))
    target = make_net(head_norm=norm).eval()
    assert initialise(target, tmp_path / "m.onnx").line.endswith("new: none")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(target(image), source(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_a_file_without_norms_gives_a_net_with_norms_that_computes_the_same(tmp_path: Path, suffix: str):
    torch.manual_seed(0)
    make_archive(tmp_path / "a.npz")
    plain, normed = make_net(head_norm=False).eval(), make_net(backbone_norm=True).eval()
    path = tmp_path / f"a{suffix}"
    assert not initialise(plain, tmp_path / "a.npz").needs_recalibration
    if suffix == ".pt":
        save_checkpoint(path, plain, make_spec(), plain.state_dict(), {})
    assert initialise(normed, path).needs_recalibration
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, got = plain.features(image), normed.features(image)
    assert (got - expected).abs().max() < 1e-3 * expected.abs().max()


def test_a_checkpoint_with_norms_gives_a_net_without_that_computes_the_same(tmp_path: Path):
    torch.manual_seed(0)
    normed, plain = make_net(backbone_norm=True).eval(), make_net(head_norm=False).eval()
    for module in normed.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()
    save_checkpoint(tmp_path / "c.pt", normed, make_spec(), normed.state_dict(), {})
    assert initialise(plain, tmp_path / "c.pt") == ("c.pt: 29 of 29 layers; new: none", False)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(plain(image), normed(image), rtol=1e-3, atol=1e-4)


def test_a_packed_model_gives_what_the_file_in_it_gives(tmp_path: Path):
    _save_onnx(tmp_path / "m.onnx", _folded(make_net().eval()))
    (tmp_path / "m.sqdet").write_bytes(pack((tmp_path / "m.onnx").read_bytes()))
    nets = [make_net(), make_net()]
    for net, name in zip(nets, ("m.onnx", "m.sqdet")):
        assert initialise(net, tmp_path / name).line.endswith("new: none")
    assert all(torch.equal(value, nets[1].state_dict()[name]) for name, value in nets[0].state_dict().items())


# -- errors ---------------------------------------------------------------------------------------------------


def _npz(**arrays: np.ndarray):
    return lambda path: np.savez(path, **arrays)


def _npy_named_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


BAD = {
    "missing": ("x.npz", lambda path: None, "no such file; --init takes an ImageNet archive"),
    "packed: damaged": ("x.sqdet", lambda path: path.write_bytes(b"sqdet"), "x.sqdet: "),
    "unknown kind": ("x.caffemodel", Path.touch, "--init takes .npz, .pt, .onnx"),
    "archive: empty": ("x.npz", Path.touch, "not a NumPy archive"),
    "archive: text": ("x.npz", lambda path: path.write_text("hello"), "not a NumPy archive"),
    "archive: half a zip": ("x.npz", lambda path: path.write_bytes(b"PK\x03\x04half"), "not a NumPy archive"),
    "archive: one array": ("x.npz", _npy_named_npz, "not a NumPy archive"),
    "archive: other names": ("x.npz", _npz(a=np.zeros(2)), "none of its 0 arrays fits this net"),
    "archive: other shapes": ("x.npz", _npz(**{"conv1/weights": np.zeros(2)}), "none of its 1 arrays fits this net"),
    "checkpoint: text": ("x.pt", lambda path: path.write_text("hello"), "not a checkpoint"),
    "onnx: NaN": (
        "x.onnx",
        lambda path: _save_onnx(path, {"convdet.bias": np.full(make_net().convdet.bias.shape, np.nan, np.float32)}),
        "convdet.bias holds NaN or infinite",
    ),
    "onnx: text": ("x.onnx", lambda path: path.write_text("hello"), "not an ONNX file"),
    "onnx: another net": (
        "x.onnx",
        lambda path: _save_onnx(path, {"a.weight": np.zeros(2, np.float32)}),
        "none of its",
    ),
}


@pytest.mark.parametrize(("name", "make", "message"), BAD.values(), ids=BAD)
def test_a_file_of_no_use_is_named(tmp_path: Path, name: str, make, message: str):
    make(tmp_path / name)
    net = make_net()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(TrainError, match=message) as caught:
        initialise(net, tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
