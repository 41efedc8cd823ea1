"""`python -m train compress` from a checkpoint to a packed file, and what interrupts it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from export.graph.trace import trace
from export.onnx.model import INPUT, detector_model
from export.packed.writer import pack
from tests.train.stopping import stop_in_step
from train.__main__ import main
from train.checkpoints.native import load_checkpoint, net_from_checkpoint, save_checkpoint
from train.compress.config import CompressConfig
from train.data.transforms.augment import AugmentConfig
from train.models.fuse import convolutions
from train.models.profile import zero_share
from train.trainers.detection import DetectionTrainer
from train.trainers.detection_config import FitConfig

from .tiny_run import STEPS, run, words


@pytest.fixture(scope="module")
def reference(checkpoint: Path, devkit: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("reference") / "run"
    assert run(words(checkpoint, devkit, out)) == 0
    return out


def assert_pruned_and_shared(path: Path, values: int) -> None:
    net, _ = net_from_checkpoint(path)
    assert zero_share(net) == pytest.approx(0.7, abs=1e-4)
    for name, conv in convolutions(net).items():
        weight = conv.weight.detach()
        assert len(weight.unique()) <= values + 1, name
        assert not (weight.numpy().view(np.uint32) == 0x80000000).any(), name


@pytest.mark.slow
def test_what_a_run_leaves_behind(reference: Path, checkpoint: Path):
    names = ["args.yaml", "compressed.pt", "folded.pt", "prune", "pruned.pt", "share"]
    assert sorted(path.name for path in reference.iterdir()) == names
    assert_pruned_and_shared(reference / "compressed.pt", 8)
    states = [load_checkpoint(reference / f"{name}.pt")["ema"] for name in ("folded", "pruned", "compressed")]
    assert not torch.equal(states[0]["convdet.bias"], states[1]["convdet.bias"]), "retrained while it was pruned"
    assert net_from_checkpoint(reference / "compressed.pt")[1] == net_from_checkpoint(checkpoint)[1]


@pytest.mark.slow
def test_the_centroids_learn(reference: Path, checkpoint: Path, devkit: Path, tmp_path: Path):
    """The same pruned net, shared with and without the last epoch: the same members, other values."""
    (tmp_path / "run").mkdir()
    for name in ("folded.pt", "pruned.pt"):
        (tmp_path / "run" / name).write_bytes((reference / name).read_bytes())
    text = (reference / "args.yaml").read_text().replace("\nepochs: 2 ", "\nepochs: 0 ")
    (tmp_path / "run" / "args.yaml").write_text(text)
    assert run(["compress", "--resume", str(tmp_path / "run")]) == 0
    still, learnt = (
        net_from_checkpoint(path / "compressed.pt")[0].convdet.weight for path in (tmp_path / "run", reference)
    )
    groups = [weight.unique(return_inverse=True)[1] for weight in (still, learnt)]
    assert torch.equal(*groups)
    assert not torch.equal(still, learnt)


def test_one_shot_needs_no_photos(checkpoint: Path, devkit: Path, tmp_path: Path, capsys):
    assert run(words(checkpoint, devkit, tmp_path / "run", epochs=0, data="")) == 0
    assert_pruned_and_shared(tmp_path / "run" / "compressed.pt", 8)
    assert "70.0 % of the weights are zero" in capsys.readouterr().out
    assert not (tmp_path / "run" / "prune").exists()


@pytest.mark.slow
def test_a_net_that_began_with_another(checkpoint: Path, devkit: Path, tmp_path: Path):
    """`fit --net init --init X`, as README trains; by now X may be gone."""
    net, spec = net_from_checkpoint(checkpoint)
    config = dataclasses.asdict(FitConfig(balance=0.0, net="init", init=str(tmp_path / "gone.sqdet")))
    save_checkpoint(tmp_path / "best.pt", net, spec, net.state_dict(), {"config": config})
    assert run(words(tmp_path / "best.pt", devkit, tmp_path / "run")) == 0
    assert_pruned_and_shared(tmp_path / "run" / "compressed.pt", 8)


def test_pruning_alone(checkpoint: Path, devkit: Path, tmp_path: Path):
    assert run(words(checkpoint, devkit, tmp_path / "run", epochs=0, bits=0)) == 0
    states = [load_checkpoint(tmp_path / "run" / f"{name}.pt")["ema"] for name in ("pruned", "compressed")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert len(states[1]["convdet.weight"].unique()) > 100


def test_sharing_alone(checkpoint: Path, devkit: Path, tmp_path: Path):
    assert run(words(checkpoint, devkit, tmp_path / "run", epochs=0, sparsity=0)) == 0
    net, _ = net_from_checkpoint(tmp_path / "run" / "compressed.pt")
    assert {len(conv.weight.unique()) for conv in convolutions(net).values()} == {8}


@pytest.mark.slow
def test_it_is_retrained_with_norms_and_exported_without(reference: Path):
    states = {name: load_checkpoint(reference / f"{name}.pt")["model"] for name in ("prune/last", "pruned")}
    norms = {name: [key for key in state if key.endswith("running_var")] for name, state in states.items()}
    assert len(norms["prune/last"]) == 27 and not norms["pruned"]  # of nine Fires


@pytest.mark.slow
def test_the_result_is_of_the_asked_size(checkpoint: Path, devkit: Path, tmp_path: Path):
    asked = net_from_checkpoint(checkpoint)[1]
    for size, expected in ((0, asked), (96, asked.resized((96, 96), [(5, 5)]))):
        out = tmp_path / str(size)
        assert run(words(checkpoint, devkit, out, epochs=0, size=size)) == 0
        assert net_from_checkpoint(out / "compressed.pt")[1] == expected


@pytest.mark.slow
def test_frozen_layers_do_not_learn(checkpoint: Path, devkit: Path, tmp_path: Path):
    out = tmp_path / "run"
    assert run(words(checkpoint, devkit, out, epochs=1, bits=0, sparsity=0, frozen="conv1,fire4")) == 0
    before, after = (load_checkpoint(out / name)["ema"] for name in ("folded.pt", "pruned.pt"))
    weights = [name for name in before if name.endswith("weight")]
    torch.testing.assert_close(
        *({name: state[name] for name in weights if "conv1" in name or "fire4" in name} for state in (before, after)),
        rtol=1e-4,
        atol=1e-6,
    )
    assert not torch.allclose(before["features.fire5.squeeze.0.weight"], after["features.fire5.squeeze.0.weight"])


STOPS = {"in the pruning": 2, "in its last step": STEPS, "in the first step of the centroids": STEPS + 1}


@pytest.mark.slow
@pytest.mark.parametrize("stopped", STOPS.values(), ids=STOPS)
def test_a_run_stopped_after_any_step_resumes_bit_for_bit(
    checkpoint: Path, devkit: Path, reference: Path, tmp_path: Path, monkeypatch, capsys, stopped: int
):
    done, out = stop_in_step(monkeypatch, DetectionTrainer, stopped), tmp_path / "run"
    assert run(words(checkpoint, devkit, out)) == 130
    assert f"go on with --resume {out}\n" in capsys.readouterr().out
    assert not (out / "compressed.pt").exists()
    assert run(["compress", "--resume", str(out)]) == 0
    assert len(done) == 2 * STEPS, "no step is done twice"
    assert_same_run(out, reference)


def assert_same_run(out: Path, reference: Path) -> None:
    for name in ("folded.pt", "pruned.pt", "compressed.pt", "prune/last.pt", "share/last.pt"):
        a, b = load_checkpoint(out / name), load_checkpoint(reference / name)
        for key in ("model", "ema"):
            assert a[key].keys() == b[key].keys()
            assert [k for k in a[key] if not torch.equal(a[key][k], b[key][k])] == [], (name, key)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["last.pt", "pruned.pt", "compressed.pt"])
def test_a_crash_before_a_file_loses_nothing(
    checkpoint: Path, devkit: Path, reference: Path, tmp_path: Path, monkeypatch, file: str
):
    class Crash(Exception):
        pass

    def crash(path: Path, *_: object) -> None:
        if path.name == file:
            raise Crash
        save_checkpoint(path, *_)

    with monkeypatch.context() as patch:
        for module in ("train.checkpoints.native", "train.trainers.detection"):
            patch.setattr(f"{module}.save_checkpoint", crash)
        with pytest.raises(Crash):
            main(words(checkpoint, devkit, tmp_path / "run"))
    assert run(["compress", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", reference)


@pytest.mark.slow
def test_a_finished_run_resumes_to_itself(reference: Path):
    before = (reference / "compressed.pt").stat().st_mtime_ns
    assert run(["compress", "--resume", str(reference)]) == 0
    assert (reference / "compressed.pt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_packed_file_is_smaller_by_the_expected_factor(reference: Path):
    """Expected: the entropy of each weight, its values at four bytes, and what a record and code tables cost."""
    sizes = {}
    for name in ("folded", "compressed"):
        net, spec = net_from_checkpoint(reference / f"{name}.pt")
        sizes[name] = len(pack(detector_model(trace(net, INPUT), spec, "convdet").SerializeToString(), spec.to_json()))
    bits = 0.0
    for conv in convolutions(net).values():
        counts = conv.weight.unique(return_counts=True)[1].double()
        bits += float(-(counts * (counts / counts.sum()).log2()).sum()) + 32 * len(counts)
    layers, biases = len(convolutions(net)), sum(conv.bias.numel() for conv in convolutions(net).values())
    assert bits / 8 < sizes["compressed"] < 1.03 * bits / 8 + 4 * biases + 150 * layers + 4000
    assert sizes["folded"] > 10 * sizes["compressed"]


@pytest.mark.parametrize(("mosaic", "expected"), [(None, 0.25), (0.0, 0.0), (0.5, 0.5)])
def test_mosaics_are_those_of_the_checkpoint_unless_asked_for(mosaic: float | None, expected: float):
    trained = FitConfig(augment=AugmentConfig(mosaic=0.25, flip=0.1))
    config = CompressConfig(data="d", size=64, mosaic=mosaic).fit_config(trained, "prune", 1, 0.01)
    assert config.augment == AugmentConfig(mosaic=expected, flip=0.1)


def test_each_stage_trains_as_it_was_asked_to():
    asked = CompressConfig(data="d", size=64, plain_epochs=2, amp=True, teacher="a.onnx")
    config = asked.fit_config(FitConfig(loss="task-aligned"), "prune", 4, 0.01)
    assert (config.plain_epochs, config.amp, config.teacher) == (2, True, "a.onnx")


BAD = {
    "no data": ({"data": ""}, "compress needs --data, a data set, to retrain; or --epochs 0"),
    "data elsewhere": ({"data": "/nowhere"}, "/nowhere: no such folder"),
    "unknown list": ({"lists": "trainval"}, "trainval.txt: no such split"),
    "unknown val list": ({"val": "test"}, "test.txt: no such split"),
    "all weights": ({"sparsity": 1}, "--sparsity 1.0: expected at least 0, below 1"),
    "too many bits": ({"bits": 9}, "--bits 9: expected 0 to 8"),
    "bias bits": ({"bias_bits": -1}, "--bias-bits -1: expected 0 to 8"),
    "epochs": ({"epochs": -1}, "--epochs -1: expected 0 or more"),
    "ramp": ({"ramp": 0}, "--ramp 0.0: expected above 0, at most 1"),
    "centroid part": ({"centroid_part": 2}, "--centroid-part 2.0: expected 0 to 1"),
    "frozen": ({"frozen": "conv9"}, "no backbone layer called 'conv9'"),
    "mosaic": ({"mosaic": 1.5}, "--mosaic 1.5: expected 0 to 1"),
    "plain epochs": ({"plain_epochs": -1}, "--plain-epochs -1: expected 0 or more"),
    "teacher": ({"teacher": "/nowhere.onnx"}, "--teacher: has an effect only with --loss task-aligned"),
    "size": ({"size": 16}, "--size 16: expected 32 or more"),
    "tiny budget": ({"budget": 100}, "--budget 100: with 1 bit in every layer the weights take about"),
    "device": ({"device": "abacus"}, "--device abacus: expected cpu, cuda or auto"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line_before_anything_is_written(
    checkpoint: Path, devkit: Path, tmp_path: Path, capsys, changes: dict, message: str
):
    assert run(words(checkpoint, devkit, tmp_path / "run", **changes)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "run").exists()


COMMANDS = {
    "nothing": (["compress"], "needs either a CHECKPOINT to begin with or --resume RUN"),
    "both": (["compress", "a.pt", "--resume", "a"], "needs either a CHECKPOINT to begin with or --resume RUN"),
    "no checkpoint": (["compress", "/nowhere.pt", "--epochs", "0"], "/nowhere.pt: no such checkpoint"),
    "no run": (["compress", "--resume", "/nowhere"], "/nowhere: no run of `python -m train compress` to go on with"),
}


@pytest.mark.parametrize(("command", "message"), COMMANDS.values(), ids=COMMANDS)
def test_what_cannot_begin_is_said(capsys, command: list[str], message: str):
    assert run(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_not_overwritten(checkpoint: Path, devkit: Path, reference: Path, capsys):
    assert run(words(checkpoint, devkit, reference)) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
