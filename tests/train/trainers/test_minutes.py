"""`fit --minutes`, by a clock that ticks once a step."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from train.checkpoints.native import load_checkpoint
from train.engine import clock
from train.trainers.detection import DetectionTrainer

from .fit_runs import fit_words, run_command

STEP = 6.0  # seconds


class Ticks:
    """A clock on which only training steps take time, and what was seen in each of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.rates, self.plain = 0.0, [], []
        step = DetectionTrainer._train_step
        load = DetectionTrainer._load

        def ticking_step(run: DetectionTrainer, batch: object) -> dict[str, float]:
            parts = step(run, batch)
            self.rates.append(run.scheduler.lr)
            self.plain.append(self.loads_plain)
            self.now += STEP
            return parts

        def noted_load(run: DetectionTrainer, is_plain: bool) -> object:
            for batch in load(run, is_plain):
                self.loads_plain = is_plain
                yield batch

        monkeypatch.setattr(clock.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(DetectionTrainer, "_train_step", ticking_step)
        monkeypatch.setattr(DetectionTrainer, "_load", noted_load)


@pytest.fixture
def ticks(monkeypatch) -> Ticks:
    return Ticks(monkeypatch)


def timed_words(devkit: Path, out: Path, **changes: object) -> list[str]:
    words = fit_words(devkit, out, **({"size": 64, "minutes": 1.0, "plain-part": 0.3, "warmup": 0} | changes))
    return [word for word in words if not word.startswith("--sizes")]


@pytest.mark.slow
def test_a_run_lasts_as_long_as_told_and_comes_down_on_time(fit_devkit: Path, tmp_path: Path, ticks: Ticks):
    """Ten steps of six seconds are a minute; an epoch has three steps, so the last one is cut short."""
    assert run_command(timed_words(fit_devkit, tmp_path / "run", **{"augment.mosaic": 0.5})) == 0
    assert len(ticks.rates) == 10
    assert ticks.rates == sorted(ticks.rates, reverse=True)
    assert ticks.rates[0] == pytest.approx(0.01) and ticks.rates[-1] < 0.04 * ticks.rates[0]
    assert ticks.plain == [False] * 7 + [True] * 3
    with (tmp_path / "run" / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_a_resumed_run_keeps_what_was_left(fit_devkit: Path, tmp_path: Path, ticks: Ticks, monkeypatch):
    step = DetectionTrainer._train_step

    def stopping(run: DetectionTrainer, batch: object) -> dict[str, float]:
        if len(ticks.rates) == 4:
            raise RuntimeError("the machine goes")
        return step(run, batch)

    monkeypatch.setattr(DetectionTrainer, "_train_step", stopping)
    with pytest.raises(RuntimeError, match="the machine goes"):
        run_command(timed_words(fit_devkit, tmp_path / "run"))
    saved = load_checkpoint(tmp_path / "run" / "last.pt")
    assert saved["seconds"] == 4 * STEP
    monkeypatch.setattr(DetectionTrainer, "_train_step", step)
    ticks.now += 1000  # between the starts
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert len(ticks.rates) == 10
    assert ticks.rates == sorted(ticks.rates, reverse=True)


@pytest.mark.slow
def test_a_run_whose_time_passes_between_two_epochs_is_validated(fit_devkit: Path, tmp_path: Path, ticks, monkeypatch):
    save = DetectionTrainer._save

    def slow_save(run: DetectionTrainer, name: str) -> None:
        save(run, name)
        ticks.now += 1000 if run.step == 0 else 0  # at the end of an epoch

    monkeypatch.setattr(DetectionTrainer, "_save", slow_save)
    assert run_command(timed_words(fit_devkit, tmp_path / "run", val_every=4)) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["2"]


@pytest.mark.slow
def test_validation_is_as_rare_as_told_and_never_left_out_at_the_end(fit_devkit: Path, tmp_path: Path):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", sizes="64:5", val_every=2)) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["2", "4", "5"]


BAD = {
    "epochs": (["--epochs", "3"], "--minutes 1: says how long; leave out --epochs and --sizes"),
    "zero": (["--minutes", "0"], "--minutes 0.0: expected above 0"),
    "step": (["--schedule", "step", "--lr-epochs", "2"], "--minutes: goes with --schedule cosine"),
    "plain epochs": (["--plain-epochs", "2"], "--plain-part in place of --plain-epochs"),
    "plain part": (["--plain-part", "2"], "--plain-part 2.0: expected 0 to 1"),
    "threads": (["--threads", "0"], "--threads 0: expected 1 or more"),
    "val every": (["--val-every", "0"], "--val-every 0: expected 1 or more"),
}


@pytest.mark.parametrize(("words", "said"), BAD.values(), ids=BAD)
def test_bad_options_are_one_line(fit_devkit: Path, tmp_path: Path, capsys, words: list[str], said: str):
    assert run_command([*timed_words(fit_devkit, tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.strip().count("\n") == 0
