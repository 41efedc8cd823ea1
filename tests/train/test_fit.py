from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.spec import VOC_LABELS
from tests.helpers import write_devkit, write_list, write_photo
from train import fit as fit_module
from train import run_folder
from train.__main__ import main
from train.checkpoint import load_checkpoint, net_from_checkpoint
from train.errors import TrainError
from train.fit import Fit, parse_sizes
from train.losses import LOSSES

ROOT = Path(__file__).parents[2]
PHOTOS, BATCH = 10, 4  # three steps an epoch
OPTIONS = {"sizes": "96:1,64:1", "shapes": 3, "batch": BATCH, "warmup": 2, "balance": 0, "save-steps": 1, "workers": 0}


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": PHOTOS, "val": 3})


def _words(devkit: Path, out: Path, **changes: object) -> list[str]:
    values = {"data": devkit, "out": out} | OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["fit", *(f"--{name}={value}" for name, value in values.items())]


def _run(words: list[str]) -> int:
    """What `python -m train` does in this process; its exit code."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


@pytest.fixture(scope="module")
def reference(devkit: Path, tmp_path_factory):
    """The folder of a run that nothing stopped, by net: "squeezedet" draws dropout, "sqdet" has BatchNorm."""
    made: dict[str, Path] = {}

    def get(net: str) -> Path:
        if net not in made:
            made[net] = tmp_path_factory.mktemp("reference") / net
            assert _run(_words(devkit, made[net], net=net)) == 0
        return made[net]

    return get


def _interrupted(step):
    """A training step in which Ctrl-C is pressed."""

    def interrupted_step(self: Fit, *args: object) -> dict:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    return interrupted_step


def _assert_same_run(out: Path, reference: Path) -> None:
    """Weights, averages, momenta and history to the last bit; best.pt and results.csv too."""
    for name in ("last.pt", "best.pt"):
        a, b = load_checkpoint(out / name), load_checkpoint(reference / name)
        for key in ("model", "ema"):
            assert a[key].keys() == b[key].keys()
            assert [k for k in a[key] if not torch.equal(a[key][k], b[key][k])] == [], (name, key)
        for i, state in b["optimizer"]["state"].items():
            assert torch.equal(a["optimizer"]["state"][i]["momentum_buffer"], state["momentum_buffer"]), (name, i)
        for key in ("history", "epoch", "step", "ema_updates", "spec", "net", "sums"):
            assert a[key] == b[key], (name, key)
    assert (out / "results.csv").read_bytes() == (reference / "results.csv").read_bytes()


# -- a run ----------------------------------------------------------------------------------------------------


LEARNING_RATES = {"ours": 0.02, "gsoc": 0.005, "paper": 0.005}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_falls(devkit: Path, tmp_path: Path, loss: str):
    """On ten drawn photos, without pretrained weights. The confidence may not: its target rises with the boxes."""
    settings = {"sizes": "64:10", "frozen": "", "lr": LEARNING_RATES[loss], "loss": loss, "augment.window": 0}
    assert _run(_words(devkit, tmp_path / "run", **settings)) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    for part in ("box", "class"):
        values = [float(row[part]) for row in rows]
        assert np.mean(values[-2:]) < 0.85 * values[0], part


def test_what_a_run_leaves_behind(devkit: Path, reference, capsys):
    out = reference("sqdet")
    assert sorted(path.name for path in out.iterdir()) == ["best.pt", "config.json", "last.pt", "results.csv"]
    config = json.loads((out / "config.json").read_text())
    assert (config["sizes"], config["batch"], config["augment"]["flip"]) == ("96:1,64:1", BATCH, 0.5)
    with (out / "results.csv").open() as file:
        assert [(row["epoch"], row["size"]) for row in csv.DictReader(file)] == [("1", "96"), ("2", "64")]

    net, spec = net_from_checkpoint(out / "best.pt")
    assert (spec.labels, spec.input_wh, spec.num_shapes) == (VOC_LABELS, (64, 64), 3)
    assert net.grid_hw((64, 64)) == spec.grid_hw == (3, 3)

    capsys.readouterr()
    assert _run(["eval", str(out / "best.pt"), "--data", str(devkit)]) == 0
    assert "| **mean** (" in capsys.readouterr().out


def test_frozen_layers_stay_as_they_began(devkit: Path, reference, tmp_path: Path):
    assert _run(_words(devkit, tmp_path / "run", net="sqdet", sizes="64:1", init=reference("sqdet") / "last.pt")) == 0
    before, after = (load_checkpoint(path / "last.pt") for path in (reference("sqdet"), tmp_path / "run"))
    for name, value in before["ema"].items():
        if name.startswith(("features.conv1", "features.fire2.", "features.fire3.")):
            assert torch.equal(after["model"][name], value), name
    assert not torch.equal(after["model"]["convdet.weight"], before["ema"]["convdet.weight"])


# -- interrupted runs -----------------------------------------------------------------------------------------

SIGNALS = {
    "killed": (signal.SIGKILL, -signal.SIGKILL, ""),
    "Ctrl-C": (signal.SIGINT, 130, "go on with --resume"),
}


@pytest.mark.parametrize(("sent", "code", "said"), SIGNALS.values(), ids=SIGNALS)
def test_a_process_stopped_in_mid_epoch_resumes_bit_for_bit(
    devkit: Path, reference, tmp_path: Path, sent: int, code: int, said: str
):
    """The signal goes to all processes of the run, as a terminal's does; a worker loads the photos."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *_words(devkit, out, net="squeezedet", workers=1)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as in this process: sums in another order differ in the last bit
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (out / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, sent)
        printed, errors = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == code, errors
    assert said in printed
    assert "Traceback" not in errors
    saved = load_checkpoint(out / "last.pt")
    assert saved["epoch"] < 2
    assert saved["epoch"] + saved["step"] > 0

    assert _run(["fit", "--resume", str(out)]) == 0
    _assert_same_run(out, reference("squeezedet"))


STEPS = {"first step": 1, "last step of an epoch": 3, "first of the next": 4, "very last": 6}


@pytest.mark.parametrize("net", ["sqdet", "squeezedet"], ids=["BatchNorm", "dropout"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_run_stopped_after_any_step_resumes_bit_for_bit(
    devkit: Path, reference, tmp_path: Path, monkeypatch, net: str, steps: int
):
    done = []
    step = Fit._train_step

    def stop_after_step(self: Fit, *args: object) -> dict:
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Fit, "_train_step", stop_after_step)
    assert _run(_words(devkit, tmp_path / "run", net=net, save_steps=100)) == 130
    assert len(done) == steps
    assert signal.getsignal(signal.SIGINT) is before
    assert _run(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert len(done) == 6, "no step is done twice"
    _assert_same_run(tmp_path / "run", reference(net))


def test_a_run_of_before_there_were_several_losses_resumes(devkit: Path, reference, tmp_path: Path, monkeypatch):
    """Its checkpoint has the options of `ours` under `loss`, and none of the other losses."""
    monkeypatch.setattr(Fit, "_train_step", _interrupted(Fit._train_step))
    assert _run(_words(devkit, tmp_path / "run", net="sqdet")) == 130
    monkeypatch.undo()
    saved = load_checkpoint(tmp_path / "run" / "last.pt")
    options = {name: saved["config"].pop(name) for name in LOSSES}
    saved["config"]["loss"] = options["ours"]
    torch.save(saved, tmp_path / "run" / "last.pt")
    assert _run(["fit", "--resume", str(tmp_path / "run")]) == 0
    _assert_same_run(tmp_path / "run", reference("sqdet"))


@pytest.mark.parametrize("file", ["last.pt", "best.pt", "results.csv"])
def test_a_crash_between_the_files_of_an_epoch_loses_none(
    devkit: Path, reference, tmp_path: Path, monkeypatch, file: str
):
    class Crash(Exception):
        pass

    def crashing(write):
        def wrapper(path: Path, *args: object) -> None:
            ends_epoch = not args or not isinstance(args[-1], dict) or args[-1]["step"] == 0
            if path.name == file and ends_epoch:
                raise Crash
            write(path, *args)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "save_checkpoint", crashing(fit_module.save_checkpoint))
        patch.setattr(run_folder, "write_text_atomically", crashing(run_folder.write_text_atomically))
        with pytest.raises(Crash):
            main(_words(devkit, tmp_path / "run", net="sqdet"))
    assert _run(["fit", "--resume", str(tmp_path / "run")]) == 0
    _assert_same_run(tmp_path / "run", reference("sqdet"))


def test_a_finished_run_resumes_to_itself(reference):
    before = (reference("sqdet") / "last.pt").read_bytes()
    assert _run(["fit", "--resume", str(reference("sqdet"))]) == 0
    assert (reference("sqdet") / "last.pt").read_bytes() == before


def test_a_moved_run_resumes_where_it_is(devkit: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Fit, "_train_step", _interrupted(Fit._train_step))
    assert _run(_words(devkit, tmp_path / "old", sizes="64:1")) == 130
    monkeypatch.undo()
    (tmp_path / "old").rename(tmp_path / "new")
    assert _run(["fit", "--resume", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "results.csv").exists()
    assert not (tmp_path / "old").exists()


def test_a_run_is_not_overwritten(devkit: Path, reference, capsys):
    out = reference("sqdet")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert _run(_words(devkit, out)) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


# -- errors ---------------------------------------------------------------------------------------------------

BAD = {
    "no data": ({"data": ""}, "fit needs --data"),
    "data elsewhere": ({"data": "/nowhere"}, "/nowhere: no such folder; expected a data set"),
    "unknown list": ({"lists": "train,trainval"}, "trainval.txt: no such list; there are train, val"),
    "unknown val list": ({"val": "test"}, "test.txt: no such list"),
    "no annotations": ({"annotations": "/nowhere"}, "/nowhere: no such folder of annotations"),
    "unknown net": ({"net": "yolo"}, "--net yolo: there are sqdet, squeezedet"),
    "unknown loss": ({"loss": "yolo"}, "--loss yolo: there are ours, gsoc, paper"),
    "options of another loss": ({"paper.box": 3}, "--paper.*: has no effect with --loss ours"),
    "unknown layer": ({"frozen": "conv1,fire1"}, "no backbone layer called 'fire1'"),
    "sizes": ({"sizes": "320"}, "--sizes 320: expected SIZE:EPOCHS"),
    "size too small": ({"net": "squeezedet-2017", "sizes": "32:1"}, "32 x 32 px is too small for this net"),
    "init missing": ({"init": "/nowhere.npz"}, "/nowhere.npz: no such file"),
    "too many shapes": ({"shapes": 1000}, "1000 anchor shapes need at least as many"),
    "no shapes": ({"shapes": 0}, "--shapes 0: expected 1 or more"),
    "no batch": ({"batch": 0}, "--batch 0: expected 1 or more"),
    "never saved": ({"save_steps": 0}, "--save-steps 0: expected 1 or more"),
    "negative workers": ({"workers": -1}, "--workers -1: expected 0 or more"),
    "negative seed": ({"seed": -1}, "--seed -1: expected 0 or more"),
    "unknown device": ({"device": "abacus"}, "--device abacus: expected cpu, cuda or auto"),
    "exploding loss": ({"lr": 1e30, "warmup": 0}, "the loss is not finite (box "),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(devkit: Path, tmp_path: Path, capsys, changes: dict, message: str):
    assert _run(_words(devkit, tmp_path / "run", **({"save_steps": 100} | changes))) == 2
    _assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "run" / "last.pt").exists()


def _assert_one_line(errors: str, message: str) -> None:
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_cuda_is_said(devkit: Path, tmp_path: Path, capsys):
    assert _run(_words(devkit, tmp_path / "run", device="cuda")) == 2
    _assert_one_line(capsys.readouterr().err, "this PyTorch finds no CUDA device")


def test_resuming_nothing_is_said(tmp_path: Path, capsys):
    assert _run(["fit", "--resume", str(tmp_path)]) == 2
    _assert_one_line(capsys.readouterr().err, "last.pt: no such checkpoint")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_named(tmp_path: Path, capsys, workers: int):
    """Also where a worker process meets it. It has no box, so the search for anchors does not read it before."""
    devkit = write_devkit(tmp_path / "voc", {"train": 3, "val": 1})
    write_photo(devkit, "bad", [])
    (devkit / "JPEGImages" / "bad.jpg").write_bytes(b"not a picture")
    write_list(devkit, "extra", ["bad"])
    assert _run(_words(devkit, tmp_path / "run", lists="train,extra", workers=workers)) == 2
    _assert_one_line(capsys.readouterr().err, f"error: {devkit}/JPEGImages/bad.jpg: missing or not a picture")


# -- parts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sizes"), [("320:2", [320, 320]), ("256:2,320:1", [256, 256, 320]), ("64:1,32:1", [64, 32])]
)
def test_sizes_by_epoch(text: str, sizes: list[int]):
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "320", "320:0", "31:5", "a:1", "320:1,", "320:1:2", "320:1.5", "-64:1"])
def test_bad_sizes_are_quoted(text: str):
    with pytest.raises(TrainError, match=f"--sizes {text}: expected"):
        parse_sizes(text)
