"""Runs of `fit` that were stopped or killed and go on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from tests.train.stopping import each_signal, stop_in_step, stopped_process
from train.__main__ import main
from train.checkpoints.native import load_checkpoint
from train.engine import run_folder
from train.losses import LOSSES
from train.trainers import detection
from train.trainers.detection import DetectionTrainer

from .fit_runs import assert_same_run, fit_words, interrupted, run_command


@pytest.mark.slow
@each_signal
def test_a_process_stopped_in_mid_epoch_resumes_bit_for_bit(
    fit_devkit: Path, fit_reference, tmp_path: Path, sent: int, code: int, said: str
):
    """A worker process loads the images."""
    out = tmp_path / "run"
    returncode, printed, errors = stopped_process(fit_words(fit_devkit, out, net="squeezedet", workers=1), out, sent)
    assert returncode == code, errors
    assert said in printed and "Traceback" not in errors
    saved = load_checkpoint(out / "last.pt")
    assert saved["epoch"] < 2
    assert saved["epoch"] + saved["step"] > 0

    assert run_command(["fit", "--resume", str(out)]) == 0
    assert_same_run(out, fit_reference("squeezedet"))


STEPS = {"first step": 1, "last step of an epoch": 3, "first of the next": 4, "very last": 6}


@pytest.mark.slow
@pytest.mark.parametrize("net", ["sqdet", "squeezedet"], ids=["BatchNorm", "dropout"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_run_stopped_after_any_step_resumes_bit_for_bit(
    fit_devkit: Path, fit_reference, tmp_path: Path, monkeypatch, net: str, steps: int
):
    before = signal.getsignal(signal.SIGINT)
    done = stop_in_step(monkeypatch, DetectionTrainer, steps)
    assert run_command(fit_words(fit_devkit, tmp_path / "run", net=net, save_steps=100)) == 130
    assert len(done) == steps
    assert signal.getsignal(signal.SIGINT) is before
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert len(done) == 6, "no step is done twice"
    assert_same_run(tmp_path / "run", fit_reference(net))


@pytest.mark.slow
def test_a_run_of_before_there_were_several_losses_resumes(
    fit_devkit: Path, fit_reference, tmp_path: Path, monkeypatch
):
    """Its checkpoint has the options of `sqdet` under `loss`, and none of the other losses."""
    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(DetectionTrainer._train_step))
    assert run_command(fit_words(fit_devkit, tmp_path / "run", net="sqdet")) == 130
    monkeypatch.undo()
    saved = load_checkpoint(tmp_path / "run" / "last.pt")
    options = {name: saved["config"].pop(name) for name in LOSSES}
    saved["config"]["loss"] = options["sqdet"]
    torch.save(saved, tmp_path / "run" / "last.pt")
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", fit_reference("sqdet"))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["last.pt", "best.pt", "results.csv"])
def test_a_crash_between_the_files_of_an_epoch_loses_none(
    fit_devkit: Path, fit_reference, tmp_path: Path, monkeypatch, file: str
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
        patch.setattr(detection, "save_checkpoint", crashing(detection.save_checkpoint))
        patch.setattr(run_folder, "write_text_atomically", crashing(run_folder.write_text_atomically))
        with pytest.raises(Crash):
            main(fit_words(fit_devkit, tmp_path / "run", net="sqdet"))
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", fit_reference("sqdet"))


@pytest.mark.slow
def test_a_finished_run_resumes_to_itself(fit_reference, capsys):
    before = (fit_reference("sqdet") / "last.pt").read_bytes()
    capsys.readouterr()
    assert run_command(["fit", "--resume", str(fit_reference("sqdet"))]) == 0
    assert capsys.readouterr().out == f"{fit_reference('sqdet')}: all of its 2 epochs are done\n"
    assert (fit_reference("sqdet") / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_a_moved_run_resumes_where_it_is(fit_devkit: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(DetectionTrainer._train_step))
    assert run_command(fit_words(fit_devkit, tmp_path / "old", sizes="64:1")) == 130
    monkeypatch.undo()
    (tmp_path / "old").rename(tmp_path / "new")
    assert run_command(["fit", "--resume", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "results.csv").exists()
    assert not (tmp_path / "old").exists()


@pytest.mark.slow
def test_a_run_is_not_overwritten(fit_devkit: Path, fit_reference, capsys):
    out = fit_reference("sqdet")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run_command(fit_words(fit_devkit, out)) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
