"""`--structured` from a checkpoint to files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.__main__ import main as export
from tests.helpers import write_devkit
from tests.train.stopping import stop_in_step
from train.checkpoints.native import load_checkpoint, net_from_checkpoint
from train.compress.filter_pruning import (
    fire_widths,
)
from train.models.fuse import convolutions
from train.models.profile import count_macs, zero_share
from train.trainers.detection import DetectionTrainer

from .tiny_run import OPTIONS, run, words

STRUCTURED = {"structured": 0.2, "epochs": 3, "narrow_part": 0.34, "centroid_part": 0.34}
FILES = ("folded.pt", "sliced.pt", "narrow.pt", "pruned.pt", "compressed.pt")


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": 10, "val": 2})


@pytest.fixture(scope="module")
def reference(checkpoint: Path, devkit: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("reference") / "run"
    assert run(words(checkpoint, devkit, out, **STRUCTURED)) == 0
    return out


@pytest.mark.slow
def test_a_run_makes_the_net_narrower_then_prunes_and_shares_it(reference: Path):
    nets = [net_from_checkpoint(reference / name)[0] for name in FILES]
    counts = [sum(sum(widths) for widths in fire_widths(net).values()) for net in nets]
    assert counts[1] == counts[2] == counts[3] == counts[4] <= 0.8 * counts[0]
    assert count_macs(nets[1], (64, 64)) < count_macs(nets[0], (64, 64))
    assert not torch.equal(nets[1].convdet.weight, nets[2].convdet.weight), "retrained"
    epochs = [len(load_checkpoint(reference / part / "last.pt")["history"]) for part in ("narrow", "prune", "share")]
    assert epochs == [1, 1, 1]
    assert zero_share(nets[4]) == pytest.approx(OPTIONS["sparsity"], abs=1e-3)
    for name, conv in convolutions(nets[4]).items():
        assert len(conv.weight.unique()) <= 2 ** OPTIONS["bits"] + 1, name


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [2, 5], ids=["narrow", "prune"])
def test_a_stopped_run_resumes_bit_for_bit(
    checkpoint: Path,
    devkit: Path,
    reference: Path,
    tmp_path: Path,
    monkeypatch,
    stopped: int,
):
    done, out = stop_in_step(monkeypatch, DetectionTrainer, stopped), tmp_path / "run"
    assert run(words(checkpoint, devkit, out, **STRUCTURED)) == 130
    assert run(["compress", "--resume", str(out)]) == 0
    assert len(done) == 9, "no step is done twice"
    for name in FILES:
        ours, theirs = (load_checkpoint(path / name)["ema"] for path in (out, reference))
        assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == [], name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "caffe"])
def test_a_narrow_net_passes_the_export_check(reference: Path, tmp_path: Path, capsys, kind: str):
    out = tmp_path / {"onnx": "narrow.onnx", "caffe": "narrow.caffemodel"}[kind]
    assert export([kind, str(reference / "narrow.pt"), "--out", str(out)]) == 0
    assert "OpenCV agrees with PyTorch" in capsys.readouterr().out


def test_one_shot_needs_photos_but_no_epoch(checkpoint: Path, devkit: Path, tmp_path: Path, capsys):
    assert run(words(checkpoint, devkit, tmp_path / "run", structured=0.2, epochs=0)) == 0
    assert "% of the multiply-adds are left" in capsys.readouterr().out
    sliced, narrowed = (load_checkpoint(tmp_path / "run" / f"{name}.pt")["ema"] for name in ("sliced", "narrow"))
    assert all(torch.equal(value, narrowed[name]) for name, value in sliced.items())
    assert not (tmp_path / "run" / "narrow").exists()


BAD = {
    "all": ({"structured": 1}, "--structured 1.0: expected at least 0, below 1"),
    "too many": ({"structured": 0.99}, "--structured 0.99: only "),
    "no data": ({"structured": 0.1, "epochs": 0, "data": ""}, "--structured needs --data, a data set"),
    "part": ({"narrow_part": 1.5}, "--narrow-part 1.5: expected 0 to 1"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line_before_anything_is_written(
    checkpoint: Path,
    devkit: Path,
    tmp_path: Path,
    capsys,
    changes: dict,
    message: str,
):
    assert run(words(checkpoint, devkit, tmp_path / "run", **changes)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
