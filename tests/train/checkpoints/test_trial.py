"""Weights by the trial's names, as its `net.py` defines them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from train.__main__ import main
from train.checkpoints.native import net_from_checkpoint
from train.checkpoints.trial import net_name
from train.models import FpnConfig, SqueezeDetFpn

FIRE = {"squeeze": "squeeze", "e1": "expand_1x1", "e3": "expand_3x3"}


def trial_names(norm: int) -> dict[str, str]:
    """The trial's name of each layer to ours; a Sequential has the convolution at 0 and the norm at 1."""
    names = {"conv1.0": "features.conv1"}
    fires = {f"fire{k}": f"features.fire{k}" for k in range(2, 10)} | {f"fire{k}": f"coarse.fire{k}" for k in (10, 11)}
    fires |= {"mix4": "mix4", "mix3": "mix3"}
    parts = {f"{old}.{a}": f"{new}.{b}" for old, new in fires.items() for a, b in FIRE.items()}
    parts |= {"lat5": "lateral5", "lat4": "lateral4", "lat3": "lateral3", "to3": "reduce4"}
    parts |= {f"heads.{s}.stem": f"heads.stride{s}.mix" for s in (8, 16, 32, 64)}
    for old, new in parts.items():
        names[f"{old}.0"] = f"{new}.0"
        if not old.startswith(("fire2.", "fire3.")):
            names[f"{old}.{norm}"] = f"{new}.{norm}"
    return names | {f"heads.{s}.out": f"heads.stride{s}.convdet" for s in (8, 16, 32, 64)}


@pytest.fixture
def trial(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """weights.pt as the trial saves it, halves where it has halves, and the weights by our names."""
    torch.manual_seed(0)
    state = SqueezeDetFpn(FpnConfig(), 20).state_dict()
    ours = {name: old for old, name in trial_names(1).items()}
    saved = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        half = value.is_floating_point() and kind == "weight" and value.ndim == 4
        saved[f"{ours[layer]}.{kind}"] = value.half() if half else value
    torch.save(saved, tmp_path / "weights.pt")
    return tmp_path / "weights.pt", state


def test_every_weight_comes_in_by_its_name(trial: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path):
    path, state = trial
    assert main(["import-trial", str(path), "--size", "288", "--out", str(tmp_path / "net.pt")]) == 0
    net, spec = net_from_checkpoint(tmp_path / "net.pt")
    assert (spec.input_wh, spec.num_anchors) == ((288, 288), 36**2 + 18**2 + 9**2 + 5**2)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=1e-3)
        assert value.dtype == state[name].dtype


def test_names():
    assert {old: net_name(f"{old}.weight") for old in trial_names(1)} == {
        old: f"{new}.weight" for old, new in trial_names(1).items()
    }


BAD = {"missing": (None, "no such file"), "text": (b"hello", "not the trial's weights")}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named(tmp_path: Path, capsys, content: bytes | None, said: str):
    path = tmp_path / "odd.pt"
    if content is not None:
        path.write_bytes(content)
    assert main(["import-trial", str(path), "--out", str(tmp_path / "net.pt")]) == 2
    error = capsys.readouterr().err
    assert f"{path}: {said}" in error and error.count("\n") == 1
    assert not (tmp_path / "net.pt").exists()


def test_weights_of_another_net_are_refused(tmp_path: Path, capsys):
    torch.save({"conv1.0.weight": torch.zeros(3)}, tmp_path / "odd.pt")
    assert main(["import-trial", str(tmp_path / "odd.pt"), "--out", str(tmp_path / "net.pt")]) == 2
    assert "not the trial's weights" in capsys.readouterr().err
