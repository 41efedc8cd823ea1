from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.helpers import make_spec
from train.__main__ import main
from train.average import average
from train.checkpoint import load_checkpoint, net_from_checkpoint, save_checkpoint
from train.errors import TrainError
from train.fit import FitConfig
from train.models import NetConfig, SqueezeDet

SPEC = make_spec(input_wh=(96, 64), grid_hw=(3, 5))
CONFIG = NetConfig(head_fires=((8, 8, 8),), head_norm=True, convdet_kernel=1, convdet_padding=0, dropout=0.0)


def make_net(seed: int, config: NetConfig = CONFIG) -> SqueezeDet:
    """Its norms are not idle."""
    torch.manual_seed(seed)
    net = SqueezeDet(config, SPEC.num_shapes, SPEC.num_classes)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()
    return net.eval()


def save(path: Path, net: SqueezeDet, spec=SPEC) -> str:
    state = {"config": dataclasses.asdict(FitConfig(lr=0.125))}
    save_checkpoint(path, net, spec, net.state_dict(), state)
    return str(path)


def test_the_mean_of_a_net_and_itself_computes_the_same():
    net, image = make_net(1), torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(average([net, net], [1, 3])(image), net(image), rtol=1e-4, atol=1e-5)


def test_the_last_layer_of_the_mean_lies_between():
    """Two nets that differ in ConvDet alone: its answer is linear in the weights, so it is the mean of theirs."""
    one, two, image = make_net(1), make_net(1), torch.rand(1, 3, 64, 96)
    torch.nn.init.normal_(two.convdet.weight)
    expected = 0.25 * one(image) + 0.75 * two(image)
    torch.testing.assert_close(average([one, two], [1, 3])(image), expected, rtol=1e-4, atol=1e-5)


def test_the_command_writes_a_checkpoint_of_the_mean(tmp_path: Path):
    paths = [save(tmp_path / f"{seed}.pt", make_net(seed)) for seed in (1, 2)]
    assert main(["average", *paths, "--shares", "3,1", "--out", str(tmp_path / "mean.pt")]) == 0
    net, spec = net_from_checkpoint(tmp_path / "mean.pt")
    image = torch.rand(1, 3, 64, 96)
    expected = average([make_net(1), make_net(2)], [0.75, 0.25])
    torch.testing.assert_close(net(image), expected(image), rtol=1e-4, atol=1e-5)
    assert spec == SPEC
    assert load_checkpoint(tmp_path / "mean.pt")["config"]["lr"] == 0.125, "compress goes on as it was trained"


OTHER = {"widths": {"head_fires": ((8, 8, 16),)}, "slope": {"leaky_slope": 0.1}}


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_nets_of_another_shape_are_refused(changes: dict):
    other = make_net(1, dataclasses.replace(CONFIG, **changes))
    with pytest.raises(TrainError, match="the nets differ in shape"):
        average([make_net(1), other], [1, 1])


BAD = {
    "one checkpoint": (["a.pt", "--out", "c.pt"], "a.pt: expected two checkpoints or more"),
    "too few shares": (["a.pt", "b.pt", "--shares", "1", "--out", "c.pt"], "--shares 1: expected 2 numbers above 0"),
    "a share of nothing": (["a.pt", "b.pt", "--shares", "1,0", "--out", "c.pt"], "--shares 1,0: expected 2 numbers"),
    "a share that is none": (["a.pt", "b.pt", "--shares", "1,x", "--out", "c.pt"], "--shares 1,x: expected 2 numbers"),
    "an infinite share": (["a.pt", "b.pt", "--shares", "1,inf", "--out", "c.pt"], "--shares 1,inf: expected 2"),
    "another kind of file": (["a.pt", "b.pt", "--out", "c.onnx"], "--out c.onnx: expected a .pt file"),
    "a missing file": (["a.pt", "no.pt", "--out", "c.pt"], "no.pt: no such checkpoint"),
    "another input": (["a.pt", "b.pt", "--out", "c.pt"], "b.pt: other labels, anchors or input than a.pt"),
}


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(tmp_path: Path, monkeypatch, capsys, words: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    save(Path("a.pt"), make_net(1))
    save(Path("b.pt"), make_net(1), SPEC.resized((64, 64), (3, 3)))
    assert main(["average", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not Path("c.pt").exists()
