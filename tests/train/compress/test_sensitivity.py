from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.helpers import make_spec
from train.__main__ import main
from train.checkpoints.native import save_checkpoint
from train.commands import sensitivity as command_module
from train.common.errors import TrainError
from train.compress.sensitivity import LayerScan, Scan, numbers
from train.compress.sensitivity_plot import plot_scan
from train.models.fuse import convolutions

from .tiny import make_net


def test_only_the_named_layer_changes(monkeypatch):
    scan = LayerScan(make_net(), make_spec(), [])
    seen = []
    monkeypatch.setattr(LayerScan, "measure", lambda self, net: seen.append(net))
    scan.pruned("convdet", 0.5)
    scan.shared("features.conv1", 2)
    changed = [
        [name for name, conv in convolutions(net).items() if not conv.weight.equal(convolutions(scan.net)[name].weight)]
        for net in seen
    ]
    assert changed == [["convdet"], ["features.conv1"]]
    assert round(float((seen[0].convdet.weight == 0).float().mean()), 2) == 0.5
    assert len(seen[1].features.conv1.weight.unique()) == 4


@pytest.mark.slow
def test_a_stopped_scan_goes_on(tmp_path: Path, monkeypatch, capsys):
    net, out = make_net(), tmp_path / "scan"
    save_checkpoint(tmp_path / "a.pt", net, make_spec(), net.state_dict(), {})
    calls = []

    def measure(self: LayerScan, net: object) -> float:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return 0.5 - len(calls) / 1000

    monkeypatch.setattr(LayerScan, "measure", measure)
    monkeypatch.setattr(command_module, "load_samples", lambda *args: [None] * 3)
    command = ["sensitivity", str(tmp_path / "a.pt"), "--data=x", f"--out={out}", "--sparsities=0.5", "--bits=1,2"]
    assert main(command) == 130
    first = json.loads((out / "sensitivity.json").read_text())
    assert len(first["shared"]) == 1
    assert main(command) == 0
    found = json.loads((out / "sensitivity.json").read_text())
    assert list(found["pruned"]) == list(found["shared"]) == list(convolutions(net))
    assert found["shared"]["features.conv1"] == first["shared"]["features.conv1"]
    assert found["map"] == 0.499
    capsys.readouterr()
    assert main([*command, "--bits=3"]) == 2
    assert "a scan with bits [1, 2], not [3]; name another --out" in capsys.readouterr().err


def test_the_picture_has_a_row_a_layer(tmp_path: Path):
    heights = []
    for layers in (4, 24):
        steps = {f"layer{i}": {"0.5": 0.3, "0.9": 0.1} for i in range(layers)}
        plot_scan(tmp_path / "a.png", Scan(0.4, steps, steps), 3)
        heights.append(cv2.imread(str(tmp_path / "a.png")).shape[0])
    assert heights[1] - heights[0] == pytest.approx(20 * 0.27 * 120, abs=2)


@pytest.mark.parametrize("text", ["", "a", "0.5,", "1.5", "-0.1"])
def test_bad_numbers_are_quoted(text: str):
    with pytest.raises(TrainError, match=f"--sparsities {text}: expected numbers from 0 to 0.999"):
        numbers(text, float, 0, 0.999, "sparsities")
