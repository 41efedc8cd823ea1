from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers import write_devkit
from train.__main__ import main
from train.common.errors import TrainError
from train.common.options import from_yaml
from train.losses import LOSSES, SqueezeDetLoss
from train.trainers.detection import DetectionTrainer
from train.trainers.detection_config import FitConfig
from train.tuning.search import find_option, numeric_options, plot_trials, with_value
from train.tuning.trial import Trial

STEPS = 2  # a trial: six images in batches of four


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    return write_devkit(tmp_path_factory.mktemp("voc"), {"train": 6, "val": 3})


def _words(name: str, low: float, high: float, devkit: Path | str, out: Path, **changes: object) -> list[str]:
    values = {"data": devkit, "out": out, "sizes": "64:1", "shapes": 2, "batch": 4, "warmup": 0, "balance": 0}
    values |= {"workers": 0, "trials": 3} | {key.replace("_", "-"): value for key, value in changes.items()}
    return ["tune", name, "--between", str(low), str(high), *(f"--{key}={value}" for key, value in values.items())]


def _run(words: list[str]) -> int:
    """What `python -m train` does in this process; its exit code."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "tune.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def peak(monkeypatch):
    """Lets a run end with the mAP that `set_peak`'s function gives to its config: the search is real, as is the run."""

    def set_peak(height) -> None:
        def evaluated(self: DetectionTrainer) -> None:
            evaluated.config = self.config
            run(self)

        run = DetectionTrainer.run
        monkeypatch.setattr(DetectionTrainer, "run", evaluated)
        monkeypatch.setattr("train.trainers.detection.mean_ap", lambda _: height(evaluated.config))

    return set_peak


# -- searches -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squeezedet", "squeezedet2017"])
def test_a_search_finds_the_weight_of_the_loss(devkit: Path, tmp_path: Path, capsys, peak, loss: str):
    peak(lambda config: 0.5 - abs(np.log10(getattr(config, loss).confidence_negative / 3000)) / 10)
    out = tmp_path / "search"
    assert _run(_words("lambda_conf_neg", 100, 10000, devkit, out, loss=loss)) == 0
    assert [row["value"] for row in _rows(out)] == ["1000", "316.2", "3162"]
    assert capsys.readouterr().out.splitlines()[-7:] == [
        "| value | val mAP | trial |",
        "|---|---|---|",
        "| 316.2 | 40.2 | 2 |",
        "| 1000 | 45.2 | 1 |",
        "| **3162** | **49.8** | 3 |",
        "a single peak lies between 1000 and 10000; nothing above 3162 was tried: more --trials, or a wider --between, "
        "may find a better one",
        f"use --{loss}.confidence-negative 3162 (val mAP 49.8)",
    ]
    for value in (1000, 316.2, 3162):
        config = from_yaml(out / str(value) / "args.yaml", FitConfig)
        assert getattr(config, loss).confidence_negative == value
        assert (config.loss, config.seed) == (loss, 0)
    assert cv2.imread(str(out / "tune.png")).std() > 10


@pytest.mark.slow
def test_val_map_is_that_of_the_best_epoch_and_more_trials_go_on(devkit: Path, tmp_path: Path, peak):
    """A whole-number option; the second of two epochs is worse."""
    epochs = []

    def height(config: FitConfig) -> float:
        epochs.append(config.warmup)
        return 0.5 - abs(config.warmup - 4) / 100 - 0.1 * (epochs.count(config.warmup) == 2)

    peak(height)
    words = _words("warmup", 1, 6, devkit, tmp_path / "search", sizes="64:2", trials=2)
    assert _run(words) == 0
    first = _rows(tmp_path / "search")
    assert [(row["value"], row["val_map"]) for row in first] == [("2", "0.48"), ("1", "0.47")]
    assert _run([*words, "--trials=20"]) == 0
    assert _rows(tmp_path / "search")[:2] == first
    assert [row["value"] for row in _rows(tmp_path / "search")[2:]] == ["3", "4", "5"]
    assert len(epochs) == 2 * len(set(epochs)), "no trial is run twice"


@pytest.mark.slow
def test_a_search_stopped_in_a_trial_goes_on_to_the_same_result(devkit: Path, tmp_path: Path, monkeypatch, capsys):
    """Ctrl-C in each trial in turn, after one of its two steps; nothing here is replaced but the key press."""
    done = []
    forward = SqueezeDetLoss.forward

    def counted(loss: SqueezeDetLoss, *args: object) -> dict:
        done.extend([1] * loss.all_processes)  # in training, not in validation
        if loss.all_processes and len(done) in stops:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(loss, *args)

    monkeypatch.setattr(SqueezeDetLoss, "forward", counted)
    stops: set[int] = set()
    assert _run(_words("lambda_conf_neg", 10, 1000, devkit, tmp_path / "whole", loss="squeezedet")) == 0
    assert len(done) == 3 * STEPS

    done.clear()
    stops = {1, 3, 6}
    words = _words("lambda_conf_neg", 10, 1000, devkit, tmp_path / "parts", loss="squeezedet")
    for finished in range(3):
        assert _run(words) == 130
        assert "goes on with the search" in capsys.readouterr().out
        assert len(_rows(tmp_path / "parts") if finished else []) == finished
    assert _run(words) == 0
    assert len(done) == 3 * STEPS, "no step is done twice"
    whole, parts = ((tmp_path / name) for name in ("whole", "parts"))
    assert (parts / "tune.csv").read_bytes() == (whole / "tune.csv").read_bytes()
    for value in ("100", "31.62", "316.2"):
        assert (parts / value / "results.csv").read_bytes() == (whole / value / "results.csv").read_bytes()
    before = (whole / "tune.csv").read_bytes()
    assert _run(_words("lambda_conf_neg", 10, 1000, devkit, whole, loss="squeezedet")) == 0
    assert (len(done), (whole / "tune.csv").read_bytes()) == (3 * STEPS, before), "a finished search is only told again"


@pytest.mark.slow
def test_a_trial_that_diverges_counts_as_nothing(devkit: Path, tmp_path: Path, capsys, peak):
    """A learning rate of 1e15 does, really; it is not run again."""
    peak(lambda config: 0.25)
    words = _words("lr", 1e-10, 1e40, devkit, tmp_path / "search", trials=2)
    assert _run(words) == 0
    assert [(row["value"], row["ended"], row["val_map"]) for row in _rows(tmp_path / "search")] == [
        ("1e+15", "diverged", "0.0"),
        ("316.2", "finished", "0.25"),
    ]
    printed = capsys.readouterr().out
    assert "--lr 1e+15 diverged, which counts as mAP 0: epoch 1, step" in printed
    assert "| 1e+15 | 0 (diverged) | 1 |" in printed
    assert _run(words) == 0
    assert "diverged, which" not in capsys.readouterr().out


@pytest.mark.slow
def test_nothing_learned_is_said(devkit: Path, tmp_path: Path, capsys, peak):
    peak(lambda config: 0.0)
    assert _run(_words("lr", 0.001, 0.1, devkit, tmp_path / "search", trials=1)) == 0
    assert "no value reached more than 0: train longer" in capsys.readouterr().out.splitlines()[-1]


def test_an_error_that_is_no_divergence_ends_the_search(devkit: Path, tmp_path: Path, capsys, monkeypatch):
    def broken(self: DetectionTrainer) -> None:
        raise TrainError("a.jpg: missing or not an image")

    monkeypatch.setattr(DetectionTrainer, "run", broken)
    assert _run(_words("lr", 0.001, 0.1, devkit, tmp_path / "search")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: a.jpg: missing or not an image"
    assert not (tmp_path / "search" / "tune.csv").exists()


@pytest.mark.slow
def test_another_search_is_not_mixed_in(devkit: Path, tmp_path: Path, capsys, peak):
    peak(lambda config: 0.5)
    out = tmp_path / "search"
    assert _run(_words("lr", 0.001, 0.1, devkit, out, trials=1)) == 0
    before = (out / "tune.csv").read_bytes()
    for words in (_words("lr", 0.001, 0.2, devkit, out), _words("lr", 0.001, 0.1, devkit, out, batch=3)):
        assert _run(words) == 2
        assert "name another --out" in capsys.readouterr().err
    assert (out / "tune.csv").read_bytes() == before


def test_runs_that_are_no_trials_are_not_taken_for_some(devkit: Path, tmp_path: Path, capsys):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "last.pt").write_bytes(b"of another run")
    assert _run(_words("lr", 0.1, 10, devkit, tmp_path)) == 2
    assert "holds runs that are not trials of a search" in capsys.readouterr().err


@pytest.mark.slow
def test_a_slip_before_the_first_trial_may_be_mended(devkit: Path, tmp_path: Path, peak):
    peak(lambda config: 0.5)
    assert _run(_words("lr", 0.001, 0.1, "/nowhere", tmp_path / "search", trials=1)) == 2
    assert _run(_words("lr", 0.001, 0.1, devkit, tmp_path / "search", trials=1)) == 0


# -- errors ---------------------------------------------------------------------------------------------------

BAD = {
    "equal ends": (("lr", 1, 1), {}, "--between 1 1: expected LOW < HIGH, both finite"),
    "swapped": (("lr", 2, 1), {}, "--between 2 1: expected LOW < HIGH"),
    "not a number": (("lr", "nan", 1), {}, "--between nan 1: expected LOW < HIGH"),
    "endless": (("lr", 1, "inf"), {}, "--between 1 inf: expected LOW < HIGH, both finite"),
    "0 on a log scale": (("lr", 0, 1), {}, "--between 0 1: expected LOW above 0, or --linear"),
    "negative on a log scale": (("lr", -1, 1), {}, "--between -1 1: expected LOW above 0, or --linear"),
    "unknown": (("lambda", 1, 2), {}, "lambda: no such numeric option; there are lambda_bbox, lambda_conf_pos, "),
    "not numeric": (("net", 1, 2), {}, "net: no such numeric option"),
    "a switch": (("amp", 0, 1), {}, "amp: no such numeric option"),
    "two numbers": (("augment.window_size", 1, 2), {}, "augment.window_size: no such numeric option"),
    "a group": (("augment", 1, 2), {}, "augment: no such numeric option"),
    "of another loss": (("gsoc.box", 1, 2), {}, "gsoc.box: has no effect with --loss sqdet"),
    "its default": (("gsoc.box", 1, 25), {}, "gsoc.box: has no effect with --loss sqdet"),
    "unknown loss": (
        ("lambda_conf_neg", 1, 2),
        {"loss": "yolo"},
        "--loss yolo: there are sqdet, squeezedet2017, squeezedet",
    ),
    "a fraction": (("batch", 1.5, 3), {}, "--between 1.5 3: --batch takes whole numbers"),
    "refused by the option": (("augment.flip", 0.1, 2), {}, "--augment.flip 2"),
    "no trials": (("lr", 1, 2), {"trials": 0}, "--trials 0: expected 1 or more"),
    "no data": (("lr", 1, 2), {"data": ""}, "tune needs --data"),
    "data elsewhere": (("lr", 1, 2), {"data": "/nowhere"}, "/nowhere: no such folder"),
}


@pytest.mark.parametrize(("search", "changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(devkit: Path, tmp_path: Path, capsys, search: tuple, changes: dict, message: str):
    assert _run(_words(*search, devkit, tmp_path / "search", **changes)) == 2
    errors = capsys.readouterr().err
    assert errors.splitlines()[-1].startswith("error: ")
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not (tmp_path / "search" / "tune.csv").exists()


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "task_aligned"])
def test_the_weights_of_the_formula_are_those_of_every_loss(loss: str):
    assert find_option("lambda_conf_neg", loss) == ((loss, "confidence_negative"), float)
    assert find_option("lambda_conf_pos", loss) == ((loss, "confidence_positive"), float)
    assert find_option("lambda_bbox", loss) == ((loss, "box"), float)


def test_every_number_of_a_run_can_be_set_by_its_name():
    names = numeric_options(FitConfig)
    assert {"lr", "batch", "weight_decay", "sqdet.box_beta", "squeezedet.classes", "augment.blur_side"} <= names.keys()
    assert not {"net", "augment.window_size", "amp", "sqdet"} & names.keys()
    assert find_option("weight-decay", "sqdet") == (("weight_decay",), float)
    assert find_option("warmup", "squeezedet2017") == (("warmup",), int)


def test_a_value_changes_nothing_else():
    config = FitConfig(loss="squeezedet")
    changed = with_value(config, ("squeezedet", "box"), 7.0)
    assert (changed.squeezedet.box, config.squeezedet.box) == (7.0, 5.0)
    assert with_value(changed, ("squeezedet", "box"), 5.0) == config


# -- the image ----------------------------------------------------------------------------------------------


def test_the_picture_shows_every_kind_of_search(tmp_path: Path):
    searches = {
        "log": ([Trial(1000, 0.2), Trial(316.2, 0.0, diverged=True), Trial(3162, 0.25)], (100, 10000), False),
        "linear from 0": ([Trial(0.5, 0.1)], (0.0, 1.0), True),
        "nothing": ([Trial(1, 0.0, diverged=True)], (0.1, 10), False),
    }
    for name, (trials, bounds, linear) in searches.items():
        path = tmp_path / f"{name}.png"
        plot_trials(path, trials, "--lr", bounds, linear)
        assert cv2.imread(str(path)).shape[0] > 400
