from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import members
from benchmarks.members import SQDET, Member, PoolsEarlier, PoolsLater, WithBypass, WithPools, WithSideWay
from tests.train.compress.tiny import CONFIG
from train.models.squeezedet import SqueezeDet

SHAPES, CLASSES = 9, 20


def pair(kind: type[SqueezeDet]) -> tuple[SqueezeDet, SqueezeDet, torch.Tensor]:
    """A net of that kind and a plain one with the weights that both have, and a picture."""
    torch.manual_seed(0)
    net, plain = kind(SQDET, SHAPES, CLASSES).eval(), SqueezeDet(SQDET, SHAPES, CLASSES).eval()
    own = plain.state_dict()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if k in own and v.shape == own[k].shape}, False)
    return net, plain, torch.randn(1, 3, 128, 128)


@torch.no_grad()
def test_a_bypass_adds_the_input_of_each_fire_that_keeps_its_channels():
    net, plain, x = pair(WithBypass)
    y = x
    for name, layer in [*plain.features.named_children(), *plain.head.named_children()]:
        y = y + layer(y) if name in ("fire3", "fire5", "fire7", "fire9", "fire11") else layer(y)
    torch.testing.assert_close(net(x), plain.convdet(y))
    assert not torch.allclose(net(x), plain(x))


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "places"), [(PoolsEarlier, ("conv1", "fire2", "fire4")), (PoolsLater, ("conv1", "fire4", "fire6"))]
)
def test_pools_are_where_they_are_said_to_be(kind: type[WithPools], places: tuple[str, ...]):
    net, plain, y = pair(kind)
    x = y
    layers = dict(plain.features.named_children())
    for name in ("conv1", *(f"fire{i}" for i in range(2, 10))):
        y = layers[name](y).relu()  # a Fire's output is none below 0 already
        if name in places:
            y = nn.functional.max_pool2d(y, 3, 2, ceil_mode=True)
    torch.testing.assert_close(net(x), plain.convdet(plain.head(y)))


@torch.no_grad()
def test_the_side_way_brings_fire5_to_the_head():
    net, plain, x = pair(WithSideWay)
    squeeze = net.head.fire10.squeeze[0].weight
    plain.head.fire10.squeeze[0].weight.copy_(squeeze[:, :512])
    assert not torch.allclose(net(x), plain(x))
    squeeze[:, 512:] = 0  # does not listen to it
    torch.testing.assert_close(net(x), plain(x))


def bench(monkeypatch: pytest.MonkeyPatch, devkit: Path, init: Path, out: Path, *more: str) -> dict:
    tiny = {"sqdet": Member("plain", CONFIG, size=64), "bypass": Member("with one", CONFIG, WithBypass, 64)}
    monkeypatch.setattr(members, "MEMBERS", tiny)
    words = [f"--data={devkit}", f"--init={init}", f"--out={out}", "--epochs=1", "--rounds=2", *more]
    monkeypatch.setattr(sys, "argv", ["members", *words])
    members.main()
    return json.loads((out / "members.json").read_text())


def test_each_member_is_trained_and_timed_once(monkeypatch, devkit: Path, checkpoint: Path, tmp_path: Path):
    rows = bench(monkeypatch, devkit, checkpoint, tmp_path, "--only=sqdet")
    assert list(rows) == ["sqdet"] and rows["sqdet"]["epoch"] == 1 and rows["sqdet"]["val_class"] > 0
    again = bench(monkeypatch, devkit, checkpoint, tmp_path)
    assert again["sqdet"] == rows["sqdet"] and again["bypass"]["val_class"] != rows["sqdet"]["val_class"]
    first, second = (tmp_path / "members.md").read_text().splitlines()[2:]
    assert first.startswith("| sqdet | plain |") and " | 1.00 | " in first
    assert second.startswith("| bypass | with one |")


def test_an_unknown_member_is_named(monkeypatch, devkit: Path, checkpoint: Path, tmp_path: Path):
    with pytest.raises(SystemExit, match="^error: --only fire: there are sqdet, bypass"):
        bench(monkeypatch, devkit, checkpoint, tmp_path, "--only=fire")


def test_all_members_have_the_grid_of_their_size():
    for name, member in members.MEMBERS.items():
        net = member.net(replace(member.config), SHAPES, CLASSES)
        assert net.grid_hw((member.size,) * 2) == {256: (15, 15), 320: (19, 19)}[member.size], name
