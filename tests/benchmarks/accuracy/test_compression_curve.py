from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.accuracy import compression_curve
from sqdet_cv.dnn.packed import unpack
from train.checkpoints.native import net_from_checkpoint
from train.models.fuse import convolutions, fuse_batchnorm
from train.models.profile import zero_share


def curve(monkeypatch: pytest.MonkeyPatch, checkpoint: Path, devkit: Path, out: Path, *more: str) -> dict:
    words = [str(checkpoint), f"--data={devkit}", f"--out={out}", "--sparsities=0,0.5", "--bits=2,4", *more]
    monkeypatch.setattr(sys, "argv", ["compression_curve", *words])
    compression_curve.main()
    return json.loads((out / "curve.json").read_text())


@pytest.mark.slow
def test_a_point_is_what_it_says(monkeypatch, checkpoint: Path, devkit: Path, tmp_path: Path):
    found = curve(monkeypatch, checkpoint, devkit, tmp_path)
    points = found["points"]
    assert list(points) == ["0.0-4", "0.0-2", "0.5-4", "0.5-2"]
    assert points["0.5-2"]["bytes"] < points["0.5-4"]["bytes"] < points["0.0-4"]["bytes"] < found["bytes"] / 4
    assert points["0.5-4"]["zeros"] == pytest.approx(0.5, abs=0.01) and points["0.0-4"]["zeros"] == 0
    net = fuse_batchnorm(net_from_checkpoint(tmp_path / "pruned-0.5" / "compressed.pt")[0])
    assert zero_share(net) == pytest.approx(0.5, abs=0.01)
    assert {len(conv.weight.unique()) for conv in convolutions(compression_curve.shared(net, 2)).values()} <= {4, 5}
    row = (tmp_path / "curve.md").read_text().splitlines()[3]
    assert row.startswith("| 50 % |") and f"{points['0.5-2']['bytes'] / 1000:.0f} kB" in row
    assert (tmp_path / "curve.png").stat().st_size > 10_000


@pytest.mark.slow
def test_it_goes_on_with_what_is_there(monkeypatch, checkpoint: Path, devkit: Path, tmp_path: Path):
    found = curve(monkeypatch, checkpoint, devkit, tmp_path)
    del found["points"]["0.5-2"]
    (tmp_path / "curve.json").write_text(json.dumps(found))
    trained = (tmp_path / "pruned-0.5" / "compressed.pt").stat().st_mtime_ns
    measured = []
    monkeypatch.setattr(compression_curve, "evaluate", lambda *args: measured.append(1) or {})
    monkeypatch.setattr(compression_curve, "mean_ap", lambda results: 0.25)
    again = curve(monkeypatch, checkpoint, devkit, tmp_path)
    assert len(measured) == 1 and again["points"]["0.5-2"]["map"] == 0.25
    assert (tmp_path / "pruned-0.5" / "compressed.pt").stat().st_mtime_ns == trained


def test_the_packed_bytes_are_of_a_file_that_unpacks(checkpoint: Path):
    net, spec = net_from_checkpoint(checkpoint)
    small = compression_curve.shared(fuse_batchnorm(net), 3)
    onnx = compression_curve.onnx_bytes(small, spec)
    assert unpack(compression_curve.pack(onnx, spec.to_json()), "x")[0] == onnx


def test_a_wrong_path_is_named_in_a_line(monkeypatch, tmp_path: Path):
    words = ["compression_curve", str(tmp_path / "x.pt"), f"--data={tmp_path}", f"--out={tmp_path}"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match=r"^error: .*x\.pt: no such checkpoint"):
        compression_curve.main()
