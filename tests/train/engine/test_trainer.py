"""What every training run does beside descending."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sqdet_cv.spec.detector_spec import ModelSpec
from train.checkpoints.native import load_checkpoint
from train.common.options import from_yaml
from train.data.batch import Batch
from train.data.formats.open_dataset import load_dataset
from train.data.loader import DetectionData, make_loader
from train.engine.curves import plot_history
from train.losses import SqdetLoss, SqdetLossConfig
from train.models import NETS, NetConfig, SqueezeDet
from train.trainers.detection import DetectionTrainer
from train.trainers.detection_config import FitConfig

from ..trainers.fit_runs import BATCH, PHOTOS, assert_same_run, fit_words, interrupted, run_command


def rows(out: Path) -> list[dict]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_adamw_with_falling_steps_learns_and_resumes(fit_devkit: Path, tmp_path: Path, monkeypatch):
    settings = {"optimizer": "adamw", "schedule": "step", "lr_epochs": "1,2", "lr_gamma": 0.5, "sizes": "64:3"}
    assert run_command(fit_words(fit_devkit, tmp_path / "whole", **settings)) == 0
    assert [float(row["lr"]) for row in rows(tmp_path / "whole")] == [0.001, 0.0005, 0.00025]
    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(DetectionTrainer._train_step))
    assert run_command(fit_words(fit_devkit, tmp_path / "run", **settings)) == 130
    monkeypatch.undo()
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    a, b = (load_checkpoint(tmp_path / name / "last.pt") for name in ("run", "whole"))
    assert all(torch.equal(a["model"][name], value) for name, value in b["model"].items())
    assert all(
        torch.equal(a["optimizer"]["state"][i]["exp_avg_sq"], s["exp_avg_sq"])
        for i, s in b["optimizer"]["state"].items()
    )


@pytest.mark.slow
def test_a_run_that_gets_no_better_stops_early(fit_devkit: Path, tmp_path: Path, capsys):
    """With a rate of next to nothing every epoch is as good as the first."""
    words = fit_words(fit_devkit, tmp_path / "run", sizes="64:9", lr=1e-12, patience=2)
    assert run_command(words) == 0
    assert len(rows(tmp_path / "run")) == 3
    assert "stopped after epoch 3: none of the last 2 was better" in capsys.readouterr().out
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert len(rows(tmp_path / "run")) == 3, "it has ended"


STALLS = {
    "no epoch": ([], 1, False),
    "patience off": ([0.3, 0.2, 0.1], 0, False),
    "better": ([0.1, 0.2, 0.3], 1, False),
    "one worse": ([0.1, 0.3, 0.2], 2, False),
    "two worse": ([0.1, 0.3, 0.2, 0.29], 2, True),
    "equal is no better": ([0.3, 0.3], 1, True),
}


@pytest.mark.parametrize(("figures", "patience", "stalled"), STALLS.values(), ids=STALLS)
def test_when_a_run_has_stalled(figures: list, patience: int, stalled: bool):
    run = object.__new__(DetectionTrainer)  # its history is all that matters
    run.config, run.history = FitConfig(patience=patience), [{"val_map": figure} for figure in figures]
    assert run.has_stalled is stalled


def test_a_bad_batch_is_kept_and_shows_the_same_again(fit_devkit: Path, tmp_path: Path, capsys):
    out = tmp_path / "run"
    assert run_command(fit_words(fit_devkit, out, lr=1e30, warmup=0, save_steps=100, balance=0)) == 2
    assert f"The batch: {out}/bad_batch.pt" in capsys.readouterr().err
    bad = torch.load(out / "bad_batch.pt", weights_only=True)
    assert bad["epoch"] == 1 and 0 < bad["step"] < PHOTOS / BATCH and bad["rank"] == 0
    assert len(bad["pictures"]) == len(bad["batch"]["pixels_bgr"]) and all(
        Path(name).is_file() for name in bad["pictures"]
    )
    assert not np.isfinite(sum(bad["parts"].values()))

    config = from_yaml(out / "args.yaml", FitConfig)
    net = SqueezeDet(config.net_config, config.anchors_per_cell, 20)
    net.load_state_dict(bad["model"])
    spec = ModelSpec.single(tuple(map(str, range(20))), (96, 96), net.grid_hw((96, 96)), ((20, 20), (40, 30), (30, 50)))
    batch = Batch(**bad["batch"])
    parts = SqdetLoss(SqdetLossConfig(), spec)(net.train().split(net(batch.images)), batch)
    assert not torch.isfinite(sum(parts.values()))


@pytest.mark.slow
def test_options_of_the_net(fit_devkit: Path, tmp_path: Path):
    words = fit_words(fit_devkit, tmp_path / "run", sizes="64:1", leaky_slope=0.1, dropout=0.25)
    assert run_command(words) == 0
    net = NetConfig(**load_checkpoint(tmp_path / "run" / "last.pt")["net"])
    assert (net.leaky_slope, net.dropout) == (0.1, 0.25)
    assert FitConfig().net_config == NETS["sqdet"][0]


@pytest.mark.slow
def test_a_second_run_by_the_file_of_the_first(fit_devkit: Path, tmp_path: Path):
    assert run_command(fit_words(fit_devkit, tmp_path / "first", sizes="64:1", seed=3)) == 0
    words = ["fit", "--config", str(tmp_path / "first" / "args.yaml"), "--out", str(tmp_path / "second")]
    assert run_command(words) == 0
    a, b = (load_checkpoint(tmp_path / name / "last.pt")["model"] for name in ("first", "second"))
    assert all(torch.equal(a[name], value) for name, value in b.items())


@pytest.mark.slow
def test_the_validation_loss_is_that_of_the_averaged_net_on_whole_photos(fit_devkit: Path, tmp_path: Path):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", sizes="64:1", batch=1)) == 0
    saved = load_checkpoint(tmp_path / "run" / "last.pt")
    spec = ModelSpec.from_json(saved["spec"])
    net = SqueezeDet(NetConfig(**saved["net"]), spec.grid.anchors_per_cell, spec.num_classes).eval()
    net.load_state_dict(saved["ema"])
    data = DetectionData(load_dataset(fit_devkit, ["val"], spec.labels), spec, None, 0, 0)
    loss = SqdetLoss(SqdetLossConfig(), spec)
    with torch.no_grad():
        each = [loss(net.split(net(b.images)), b) for b in make_loader(data, [(i, 0) for i in range(len(data))], 1, 0)]
    (row,) = rows(tmp_path / "run")
    for name in ("box", "conf_pos", "conf_neg", "class"):
        assert float(row[f"val_{name}"]) == pytest.approx(np.mean([float(parts[name]) for parts in each]), rel=1e-5)


@pytest.mark.slow
def test_tensorboard_holds_the_numbers_of_results_csv(fit_devkit: Path, tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = fit_words(fit_devkit, tmp_path / "run", sizes="64:4")
    assert run_command([*words, "--tensorboard"]) == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    written = [(event.step, event.value) for event in events.Scalars("epoch/val_map")]
    steps = -(-PHOTOS // BATCH)
    expected = [(steps * (i + 1), float(row["val_map"])) for i, row in enumerate(rows(tmp_path / "run"))]
    assert written == [(step, pytest.approx(value, abs=1e-6)) for step, value in expected]
    assert [event.step for event in events.Scalars("step/box")] == [10], "of twelve steps every tenth"


@pytest.mark.slow
def test_curves_show_every_panel(tmp_path: Path):
    history = [
        {"epoch": i + 1, "size": 64, "box": 1 / (i + 1), "class": 2 / (i + 1), "val_box": 0.5, "val_class": 1.0}
        | {"val_map": i / 10, "lr": 0.01}
        for i in range(5)
    ]
    plot_history(history, "val_map", tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape == (600, 1200, 3)
    inked = [(part < 250).mean() for row in np.split(picture, 2) for part in np.split(row, 3, axis=1)]
    assert all(share > 0.02 for share in inked[:5]) and inked[5] < 0.005  # five panels
    plot_history(history[:1], "val_map", tmp_path / "one.png")


BAD = {
    "optimizer": ({"optimizer": "adam"}, "--optimizer adam: there are sgd, adamw"),
    "schedule": ({"schedule": "linear"}, "--schedule linear: there are cosine, step"),
    "step without epochs": ({"schedule": "step"}, "--schedule step needs --lr-epochs"),
    "epochs without step": ({"lr_epochs": "3"}, "--lr-epochs 3: has no effect with --schedule cosine"),
    "falling epochs": ({"schedule": "step", "lr_epochs": "3,2"}, "--lr-epochs 3,2: expected rising numbers"),
    "gamma": ({"schedule": "step", "lr_epochs": "3", "lr_gamma": 2}, "--lr-gamma 2.0: expected above 0, at most 1"),
    "no such solver": ({"schedule": "deepscale"}, "--schedule deepscale: there are cosine, step"),
    "rate": ({"lr": -1}, "--lr -1.0: expected above 0"),
    "patience": ({"patience": -1}, "--patience -1: expected 0 or more"),
    "plain epochs": ({"plain_epochs": -1}, "--plain-epochs -1: expected 0 or more"),
    "scale": ({"multi_scale": 1}, "--multi-scale 1.0: expected below 1"),
    "share of the teacher": ({"ours.teacher": 2}, "--sqdet.teacher 2.0: expected 0 to 1"),
    "smoothing": ({"ours.smoothing": -1}, "--sqdet.smoothing -1.0: expected 0 to 1"),
    "slope": ({"leaky_slope": 2}, "--leaky-slope 2.0: expected at least 0, below 1"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(fit_devkit: Path, tmp_path: Path, capsys, changes: dict, message: str):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", **changes)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_amp_on_a_cpu_computes_in_bfloat16_what_float32_would(fit_devkit: Path, tmp_path: Path, monkeypatch):
    """The weights stay float32, the convolutions round to 8 bits, and the loss is nearly the same; and it resumes."""
    forward, seen = torch.nn.Conv2d.forward, set()

    def watched(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        y = forward(self, x)
        if self.training:
            seen.add((self.weight.dtype, y.dtype))
        return y

    words = {name: fit_words(fit_devkit, tmp_path / name, device="cpu", lr=0.001) for name in ("exact", "amp", "run")}
    assert run_command(words["exact"]) == 0
    monkeypatch.setattr(torch.nn.Conv2d, "forward", watched)
    assert run_command([*words["amp"], "--amp"]) == 0
    assert seen == {(torch.float32, torch.bfloat16)}
    for exact, amp in zip(rows(tmp_path / "exact"), rows(tmp_path / "amp"), strict=True):
        for part in ("box", "conf_pos", "conf_neg", "class", "val_box", "val_class"):
            assert float(amp[part]) != float(exact[part])
            assert float(amp[part]) == pytest.approx(float(exact[part]), rel=0.03), part

    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(DetectionTrainer._train_step))
    assert run_command([*words["run"], "--amp"]) == 130
    monkeypatch.undo()
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", tmp_path / "amp")


def test_without_tensorboard_it_is_said(fit_devkit: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr("train.engine.tensorboard.importlib.util.find_spec", lambda name: None)
    assert run_command([*fit_words(fit_devkit, tmp_path / "run"), "--tensorboard"]) == 2
    assert "--tensorboard: needs the package; pip install tensorboard" in capsys.readouterr().err
