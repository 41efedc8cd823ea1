"""Runs of `classify` that were stopped or killed and go on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.colour_folder import write_colour_folder
from tests.train.stopping import each_signal, stop_in_step, stopped_process
from train.trainers.classification import ClassificationTrainer

from .classify_runs import assert_same_run, classify_words, load, run_command


@pytest.mark.slow
@each_signal
def test_a_process_stopped_in_mid_epoch_resumes_bit_for_bit(
    colour_data: Path, classify_reference: Path, tmp_path: Path, sent: int, code: int, said: str
):
    """A worker process loads the images."""
    out = tmp_path / "run"
    returncode, printed, errors = stopped_process(classify_words(colour_data, out, workers=1), out, sent)
    assert returncode == code, errors
    assert said in printed and "Traceback" not in errors
    saved = load(out / "last.pt")
    assert 0 < 3 * saved["epoch"] + saved["step"] < 6, "in the midst of the run"

    assert run_command(["classify", "--resume", str(out)]) == 0
    assert_same_run(out, classify_reference)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 4, 6], ids=["first", "last of an epoch", "first of the next", "very last"])
def test_a_run_stopped_after_any_step_resumes_bit_for_bit(
    colour_data: Path, classify_reference: Path, tmp_path: Path, monkeypatch, steps: int
):
    before = signal.getsignal(signal.SIGINT)
    done = stop_in_step(monkeypatch, ClassificationTrainer, steps)
    assert run_command(classify_words(colour_data, tmp_path / "run", save_steps=100)) == 130
    assert len(done) == steps
    assert signal.getsignal(signal.SIGINT) is before
    assert run_command(["classify", "--resume", str(tmp_path / "run")]) == 0
    assert len(done) == 6, "no step is done twice"
    assert_same_run(tmp_path / "run", classify_reference)


@pytest.mark.slow
def test_resuming_with_other_pictures_is_refused(classify_reference: Path, tmp_path: Path, capsys):
    data, out = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1}), tmp_path / "run"
    assert run_command(classify_words(data, out, epochs=1)) == 0
    (data / "train" / "red" / "more.png").write_bytes((data / "train" / "red" / "0.png").read_bytes())
    assert run_command(["classify", "--resume", str(out)]) == 2
    assert "train: 4 images; the run was started with 3" in capsys.readouterr().err
