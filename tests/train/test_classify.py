from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.classifier_spec import ClassifierSpec
from sqdet_cv.preprocess import classifier_blob
from tests.colour_folder import CLASSES_BGR, write_colour_folder
from train.__main__ import main
from train.checkpoint import CLASSIFIER_FORMAT, classifier_from_checkpoint, load_checkpoint
from train.classify import Classify, ClassifyConfig
from train.data.image_folder import read_image_folder
from train.data.loader import read_image
from train.models.squeezedet import NETS, SqueezeDet
from train.models.squeezenet import SqueezeNet, draw_weights
from train.schedules import SOLVERS
from train.weights import initialise

ROOT = Path(__file__).parents[2]
LABELS = tuple(CLASSES_BGR)
BATCH = 5  # three steps an epoch for the twelve training pictures
OPTIONS = {"size": 32, "epochs": 2, "batch": BATCH, "warmup": 2, "save-steps": 1, "workers": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_colour_folder(tmp_path_factory.mktemp("colours"), {"train": 4, "val": 2})


def words(folder: Path, out: Path, **changes: object) -> list[str]:
    values = {"data": folder, "out": out} | OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["classify", *(f"--{name}={value}" for name, value in values.items())]


def run(words: list[str]) -> int:
    """What `python -m train` does in this process; its exit code."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


def load(path: Path) -> dict:
    return load_checkpoint(path, (CLASSIFIER_FORMAT,))


@pytest.fixture(scope="module")
def reference(data: Path, tmp_path_factory) -> Path:
    """The folder of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("reference") / "run"
    assert run(words(data, out)) == 0
    return out


def assert_same_run(out: Path, reference: Path) -> None:
    """Weights, averages, momenta and history to the last bit; best.pt and results.csv too."""
    for name in ("last.pt", "best.pt"):
        a, b = load(out / name), load(reference / name)
        for key in ("model", "ema"):
            assert a[key].keys() == b[key].keys()
            assert [k for k in a[key] if not torch.equal(a[key][k], b[key][k])] == [], (name, key)
        for i, state in b["optimizer"]["state"].items():
            assert torch.equal(a["optimizer"]["state"][i]["momentum_buffer"], state["momentum_buffer"]), (name, i)
        for key in ("history", "epoch", "step", "ema_updates", "spec", "version", "loss_sum"):
            assert a[key] == b[key], (name, key)
    assert (out / "results.csv").read_bytes() == (reference / "results.csv").read_bytes()


# -- a run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cosine", "deepscale"])
def test_colours_are_learnt_from_scratch(data: Path, tmp_path: Path, capsys, schedule: str):
    """Chance is 33 %."""
    settings = {"epochs": 15, "batch": 6, "lr": 0.02, "ema": 0.8, "save_steps": 100, "dropout": 0.2}
    settings |= {"schedule": schedule, "scale_schedule": True} if schedule != "cosine" else {}
    assert run(_flags(words(data, tmp_path / "run", **settings))) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.75 * float(rows[0]["loss"])
    assert max(float(row["val_top1"]) for row in rows) == 1.0
    assert {row["val_top5"] for row in rows} == {"1.0"}, "there are three classes"

    capsys.readouterr()
    assert run(["classify", "--eval", str(tmp_path / "run" / "best.pt"), "--data", str(data), "--val", "train"]) == 0
    assert re.fullmatch(r"top-1 100\.0 %, top-5 100\.0 % of 12 pictures\n", capsys.readouterr().out)


def _flags(words: list[str]) -> list[str]:
    return [word.removesuffix("=True") for word in words]


def test_what_a_run_leaves_behind(reference: Path):
    assert sorted(path.name for path in reference.iterdir()) == ["best.pt", "config.json", "last.pt", "results.csv"]
    config = json.loads((reference / "config.json").read_text())
    assert (config["size"], config["batch"], config["augment"]["flip"]) == (32, BATCH, 0.5)
    with (reference / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    net, version, spec = classifier_from_checkpoint(reference / "best.pt")
    assert version == "1.1" and not net.training
    # 227 of 256 pixels, in proportion
    assert spec == ClassifierSpec(LABELS, (32, 32), resize="center_crop", resize_side=36)


def test_a_detector_starts_from_a_classifier(reference: Path):
    net = SqueezeDet(NETS["squeezedet"][0], 3, 3)
    said = initialise(net, reference / "best.pt")
    assert said.startswith("best.pt: 25 of ")
    weights = load(reference / "best.pt")["ema"]
    for name in ("features.conv1.weight", "features.fire9.expand_3x3.0.bias"):
        assert torch.equal(net.state_dict()[name], weights[name])


def test_init_leaves_out_the_last_layer_of_other_classes(data: Path, reference: Path, tmp_path: Path, capsys):
    two = tmp_path / "two"
    for split in ("train", "val"):
        (two / split).mkdir(parents=True)
        for label in LABELS[:2]:
            (two / split / label).symlink_to(data / split / label)
    assert run(words(two, tmp_path / "run", init=reference / "best.pt", lr=1e-12, epochs=1)) == 0
    assert "best.pt: 25 of 26 layers; new: conv10.weight" in capsys.readouterr().out
    before, after = load(reference / "best.pt"), load(tmp_path / "run" / "last.pt")
    name = "features.fire5.squeeze.0.weight"
    assert torch.equal(after["model"][name], before["ema"][name])
    assert after["model"]["conv10.weight"].shape == (2, 512, 1, 1)


def test_weights_from_scratch_keep_the_size_of_the_signal():
    torch.manual_seed(0)
    net = SqueezeNet("1.1", 10).eval()
    draw_weights(net)
    with torch.no_grad():
        features = net.features(torch.randn(2, 3, 96, 96) * 64)
        scores = net(torch.randn(2, 3, 96, 96) * 64)
    assert 0.1 < features.std() < 10
    assert scores.min() > 0.2, "no class begins near the ReLU's zero"


# -- interrupted runs -----------------------------------------------------------------------------------------

SIGNALS = {
    "killed": (signal.SIGKILL, -signal.SIGKILL, ""),
    "Ctrl-C": (signal.SIGINT, 130, "go on with --resume"),
}


@pytest.mark.parametrize(("sent", "code", "said"), SIGNALS.values(), ids=SIGNALS)
def test_a_process_stopped_in_mid_epoch_resumes_bit_for_bit(
    data: Path, reference: Path, tmp_path: Path, sent: int, code: int, said: str
):
    """The signal goes to all processes of the run, as a terminal's does; a worker loads the pictures."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *words(data, out, workers=1)],
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
            time.sleep(0.005)
        os.killpg(process.pid, sent)
        printed, errors = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == code, errors
    assert said in printed
    assert "Traceback" not in errors
    saved = load(out / "last.pt")
    assert 0 < 3 * saved["epoch"] + saved["step"] < 6, "in the midst of the run"

    assert run(["classify", "--resume", str(out)]) == 0
    assert_same_run(out, reference)


@pytest.mark.parametrize("steps", [1, 3, 4, 6], ids=["first", "last of an epoch", "first of the next", "very last"])
def test_a_run_stopped_after_any_step_resumes_bit_for_bit(
    data: Path, reference: Path, tmp_path: Path, monkeypatch, steps: int
):
    done = []
    step = Classify._train_step

    def stop_after_step(self: Classify, *args: object) -> float:
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Classify, "_train_step", stop_after_step)
    assert run(words(data, tmp_path / "run", save_steps=100)) == 130
    assert len(done) == steps
    assert signal.getsignal(signal.SIGINT) is before
    assert run(["classify", "--resume", str(tmp_path / "run")]) == 0
    assert len(done) == 6, "no step is done twice"
    assert_same_run(tmp_path / "run", reference)


def test_resuming_with_other_pictures_is_refused(reference: Path, tmp_path: Path, capsys):
    data, out = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1}), tmp_path / "run"
    assert run(words(data, out, epochs=1)) == 0
    (data / "train" / "red" / "more.png").write_bytes((data / "train" / "red" / "0.png").read_bytes())
    assert run(["classify", "--resume", str(out)]) == 2
    assert "train: 4 pictures; the run began with 3" in capsys.readouterr().err


# -- schedules ------------------------------------------------------------------------------------------------


def make_run(data: Path, **changes: object) -> Classify:
    config = ClassifyConfig(data=str(data), size=32, batch=BATCH, epochs=2, **changes)
    spec = ClassifierSpec(LABELS, (32, 32))
    return Classify(config, SqueezeNet("1.1", 3), spec, config.folders())


def test_a_solver_file_is_followed_step_by_step(data: Path):
    """The rate that the optimiser holds in a step, not only the formula."""
    run = make_run(data, schedule="deepscale")
    images, class_ids = torch.zeros(2, 3, 32, 32), torch.tensor([0, 1])
    rates = []
    for run.epoch, run.step in ((0, 0), (0, 1), (1, 2)):
        run._train_step(images, class_ids)
        (group,) = run.optimizer.param_groups
        rates.append(group["lr"])
        assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.9, 2e-4, False)
    np.testing.assert_allclose(rates, [0.04 * (1 - i / 170_000) for i in (0, 1, 5)], rtol=1e-9)


def test_a_scaled_solver_file_runs_from_its_begin_to_its_end(data: Path):
    run = make_run(data, schedule="deepscale", scale_schedule=True)
    # six steps: i / 6 of the way
    np.testing.assert_allclose([run.lr_factor(i) for i in range(6)], [1 - i / 6 for i in range(6)], atol=1e-5)


def test_the_cosine_ends_near_zero_and_the_backbone_learns_more_slowly(data: Path):
    run = make_run(data, warmup=2, backbone_lr=0.25)
    assert [run.lr_factor(i) for i in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert run.lr_factor(5) < 0.2
    assert {group["base_lr"] for group in run.optimizer.param_groups} == {0.01, 0.0025}


# -- errors ---------------------------------------------------------------------------------------------------

BAD = {
    "no data": ({"data": ""}, "classify needs --data"),
    "missing folder": ({"data": "nowhere"}, "nowhere/train: no such folder; expected"),
    "missing val": ({"val": "test"}, "test: no such folder; expected"),
    "tiny input": ({"size": 31}, "--size 31: expected 32 or more"),
    "no epoch": ({"epochs": 0}, "--epochs 0: expected 1 or more"),
    "negative rate": ({"lr": -1}, "--lr -1.0: expected 0 or more"),
    "smoothing": ({"label_smoothing": 1}, "--label-smoothing 1.0: expected at least 0, below 1"),
    "version": ({"version": "2"}, "--version 2: there are 1.0, 1.1"),
    "schedule": ({"schedule": "adam"}, "--schedule adam: there are cosine"),
    "device": ({"device": "abacus"}, "--device abacus: expected cpu, cuda or auto"),
    "past the end": ({"schedule": "squeezedet2017", "epochs": 40_000}, "120000 steps; --schedule squeezedet2017 ends"),
    "exploding loss": ({"lr": 1e30, "warmup": 0, "clip": 1e30}, "the loss is not finite (nan); lower --lr"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(data: Path, tmp_path: Path, capsys, changes: dict, message: str):
    assert run(words(data, tmp_path / "run", **({"save_steps": 100} | changes))) == 2
    assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "run" / "last.pt").exists()


def assert_one_line(errors: str, message: str) -> None:
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in errors


def test_a_run_is_not_begun_over_another(data: Path, reference: Path, capsys):
    before = (reference / "last.pt").read_bytes()
    assert run(words(data, reference)) == 2
    assert_one_line(capsys.readouterr().err, "holds a run already; go on with it by --resume")
    assert (reference / "last.pt").read_bytes() == before


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named(tmp_path: Path, capsys, workers: int):
    """Also where a worker process meets it."""
    data = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1})
    (data / "train" / "red" / "bad.jpg").write_bytes(b"not a picture")
    assert run(words(data, tmp_path / "run", workers=workers)) == 2
    assert_one_line(capsys.readouterr().err, f"error: {data}/train/red/bad.jpg: missing or not a picture")


def test_one_class_is_not_enough(tmp_path: Path, capsys):
    data = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1})
    for label in LABELS[1:]:
        for split in ("train", "val"):
            shutil.rmtree(data / split / label)
    assert run(words(data, tmp_path / "run")) == 2
    assert_one_line(capsys.readouterr().err, "train: one class, 'blue'; expected two or more")


def test_every_solver_file_is_a_schedule(data: Path):
    for name, solver in SOLVERS.items():
        (group,) = make_run(data, schedule=name).optimizer.param_groups
        assert group["base_lr"] == solver.base_lr


def test_the_best_epoch_is_judged_by_the_val_pictures(data: Path, reference: Path):
    """val_top1 of results.csv is what the averaged weights in best.pt say about them, one by one."""
    net, _, spec = classifier_from_checkpoint(reference / "best.pt")
    folder = read_image_folder(data / "val", spec.labels)
    with torch.no_grad():
        right = [
            net(torch.from_numpy(classifier_blob(read_image(path), spec))).argmax().item() == class_id
            for path, class_id in zip(folder.paths, folder.class_ids)
        ]
    with (reference / "results.csv").open() as file:
        assert max(float(row["val_top1"]) for row in csv.DictReader(file)) == pytest.approx(np.mean(right))
