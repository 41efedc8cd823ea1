from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from train.__main__ import main
from train.checkpoints.average import average_checkpoints
from train.checkpoints.native import net_from_checkpoint, save_checkpoint
from train.models import FpnConfig, SqueezeDetFpn
from train.models.fuse import fuse_batchnorm
from train.trainers.detection_config import FitConfig

from ..compress.tiny import make_net, pictures

SPEC = ModelSpec.single(tuple("abcde"), (64, 64), (3, 3), ((20, 20), (40, 30)))


def save(path: Path, net: torch.nn.Module, spec: ModelSpec = SPEC) -> str:
    save_checkpoint(path, net, spec, net.state_dict(), {"config": dataclasses.asdict(FitConfig())})
    return str(path)


def changed(seed: int) -> torch.nn.Module:
    """The net of `make_net` with other weights in ConvDet, which is linear, and a zero that all share."""
    net, generator = copy.deepcopy(make_net()), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.convdet.weight += torch.randn(net.convdet.weight.shape, generator=generator)
        net.convdet.weight[0, 0] = 0
    return net


@pytest.mark.slow
@torch.no_grad()
def test_the_mean_of_nets_that_differ_in_a_linear_layer_answers_with_the_mean(tmp_path: Path, capsys):
    """BatchNorm is folded first; the rest of the net, the same in all, stays as it is."""
    nets, out, x = [changed(seed) for seed in range(3)], tmp_path / "mean.pt", pictures()
    assert main(["average", *(save(tmp_path / f"{i}.pt", net) for i, net in enumerate(nets)), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: the mean of 3 nets\n"
    mean, spec = net_from_checkpoint(out)
    torch.testing.assert_close(mean(x), sum(net(x) for net in nets) / 3, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(mean(x), nets[0](x), atol=0.1)
    assert spec == SPEC
    assert (mean.convdet.weight[0, 0] == 0).all()
    assert not mean.config.head_norm


def test_bad_input_is_one_line(tmp_path: Path, capsys):
    a, b = save(tmp_path / "a.pt", changed(0)), save(tmp_path / "b.pt", changed(1))
    narrow = save(tmp_path / "narrow.pt", make_net(head_fires=((8, 12, 8),)))
    moved = save(tmp_path / "moved.pt", changed(2), SPEC.resized((96, 96), [(5, 5)]))
    out = tmp_path / "out.pt"
    for words, said in (
        ([a, "--out", str(out)], "a.pt: a mean needs two or more"),
        ([a, b, "--out", str(tmp_path / "out.onnx")], "out.onnx: expected a name that ends in .pt"),
        ([a, b, str(tmp_path / "c.pt"), "--out", str(out)], "c.pt: no such checkpoint"),
        ([a, narrow, "--out", str(out)], "narrow.pt: a net of another shape than"),
        ([a, moved, "--out", str(out)], "moved.pt: its classes, anchors or input size are not those of"),
    ):
        assert main(["average", *words]) == 2, said
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
        assert not out.exists()


def test_a_net_of_another_dropout_is_of_the_same_shape(tmp_path: Path):
    """Dropout is no weight: a released file does not know what it was."""
    paths = [save(tmp_path / "a.pt", make_net()), save(tmp_path / "b.pt", make_net(dropout=0.5))]
    assert main(["average", *paths, "--out", str(tmp_path / "out.pt")]) == 0
    mean, _ = net_from_checkpoint(tmp_path / "out.pt")
    torch.testing.assert_close(mean.convdet.weight, make_net().convdet.weight)


@pytest.mark.parametrize("count", [1, 3])
def test_equal_nets_are_their_mean_to_the_last_bit(tmp_path: Path, count: int):
    path = save(tmp_path / "a.pt", changed(0))
    assert main(["average", path, *[path] * count, "--out", str(tmp_path / "out.pt")]) == 0
    first, again = tmp_path / "out.pt", tmp_path / "again.pt"
    assert main(["average", str(first), str(first), "--out", str(again)]) == 0
    states = [net_from_checkpoint(one)[0].state_dict() for one in (first, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_nets_on_four_grids_have_a_mean_too(tmp_path: Path):
    config = FpnConfig(backbone_fires=((4, 4, 8),) * 8, coarse_fires=((4, 4, 8),) * 2, width=8, fine_width=4)
    paths, nets = [], []
    for seed in range(2):
        torch.manual_seed(seed)
        nets.append(SqueezeDetFpn(config, 5).eval())
        spec = ModelSpec(SPEC.labels, (64, 64), nets[0].make_grids((64, 64)))
        paths.append(save(tmp_path / f"{seed}.pt", nets[-1], spec))
    mean, found = average_checkpoints(paths)
    assert found == spec
    expected = sum(fuse_batchnorm(net).lateral4[0].weight for net in nets) / 2
    torch.testing.assert_close(mean.lateral4[0].weight, expected)
