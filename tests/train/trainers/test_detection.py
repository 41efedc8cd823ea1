from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import write_devkit, write_list, write_photo
from train.checkpoints.native import load_checkpoint, net_from_checkpoint
from train.commands import fit
from train.common.errors import TrainError
from train.common.options import from_yaml
from train.data.transforms.augment import AugmentConfig
from train.losses import LOSSES
from train.trainers.detection import DetectionTrainer, train_detector
from train.trainers.detection_config import FitConfig, parse_sizes

from .fit_runs import BATCH, fit_words, run_command

# -- a run ----------------------------------------------------------------------------------------------------


LEARNING_RATES = {"sqdet": 0.02, "squeezedet2017": 0.005, "squeezedet": 0.005, "task_aligned": 0.002}


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_falls(fit_devkit: Path, tmp_path: Path, loss: str):
    """On ten drawn images, without pretrained weights. The confidence may not: its target rises with the boxes."""
    settings = {"sizes": "64:10", "frozen": "", "lr": LEARNING_RATES[loss], "loss": loss, "augment.window": 0}
    if loss == "task_aligned":
        settings |= {"net": "squeezedet-fpn", "optimizer": "adamw"}
    assert run_command(fit_words(fit_devkit, tmp_path / "run", **settings)) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    for part in ("box", "class"):
        values = [float(row[part]) for row in rows]
        assert np.mean(values[-2:]) < 0.85 * values[0], part


@pytest.mark.slow
def test_what_a_run_leaves_behind(fit_devkit: Path, fit_reference, capsys):
    out = fit_reference("sqdet")
    assert sorted(path.name for path in out.iterdir()) == [
        "args.yaml",
        "best.pt",
        "curves.png",
        "last.pt",
        "results.csv",
    ]
    config = from_yaml(out / "args.yaml", FitConfig)
    assert (config.sizes, config.batch, config.augment.flip) == ("96:1,64:1", BATCH, 0.5)
    with (out / "results.csv").open() as file:
        assert [(row["epoch"], row["size"]) for row in csv.DictReader(file)] == [("1", "96"), ("2", "64")]

    net, spec = net_from_checkpoint(out / "best.pt")
    assert (spec.labels, spec.input_wh, spec.grid.anchors_per_cell) == (VOC_LABELS, (64, 64), 3)
    assert net.grid_hw((64, 64)) == spec.grid.hw == (3, 3)

    capsys.readouterr()
    assert run_command(["eval", str(out / "best.pt"), "--data", str(fit_devkit)]) == 0
    assert "| **mean** (" in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_plain_epochs_draw_no_mosaics(fit_devkit: Path, tmp_path: Path):
    """Their views are those of a run without mosaics, to the last bit."""

    def views(name: str, **changes: object) -> list[list[torch.Tensor]]:
        settings = {
            "data": str(fit_devkit),
            "sizes": "64:3",
            "anchors_per_cell": 3,
            "batch": BATCH,
            "workers": 0,
            "watch": 0,
        }
        trainer, epochs = DetectionTrainer.start(FitConfig(out=str(tmp_path / name), **settings, **changes)), []
        for trainer.epoch in range(3):
            epochs.append([batch.images for batch in trainer._batches()])
        return epochs

    plain = views("plain")
    mosaics = views("mosaics", augment=AugmentConfig(mosaic=1.0), plain_epochs=2)
    for epoch, same in enumerate((False, True, True)):
        assert all(torch.equal(*pair) == same for pair in zip(plain[epoch], mosaics[epoch], strict=True)), epoch


@pytest.mark.slow
def test_frozen_layers_stay_as_they_began(fit_devkit: Path, fit_reference, tmp_path: Path):
    assert (
        run_command(
            fit_words(fit_devkit, tmp_path / "run", net="sqdet", sizes="64:1", init=fit_reference("sqdet") / "last.pt")
        )
        == 0
    )
    before, after = (load_checkpoint(path / "last.pt") for path in (fit_reference("sqdet"), tmp_path / "run"))
    for name, value in before["ema"].items():
        if name.startswith(("features.conv1", "features.fire2.", "features.fire3.")):
            assert torch.equal(after["model"][name], value), name
    assert not torch.equal(after["model"]["convdet.weight"], before["ema"]["convdet.weight"])


# -- errors ---------------------------------------------------------------------------------------------------

BAD = {
    "no data": ({"data": ""}, "fit needs --data"),
    "data elsewhere": ({"data": "/nowhere"}, "/nowhere: no such folder; expected a data set"),
    "unknown list": ({"lists": "train,trainval"}, "trainval.txt: no such split; there are train, val"),
    "unknown val list": ({"val": "test"}, "test.txt: no such split"),
    "no annotations": ({"annotations": "/nowhere"}, "/nowhere: no such folder of annotations"),
    "names of other classes": ({"labels": "dgo,cta"}, ": no object called dgo or cta; are these (--labels) its names?"),
    "unknown net": ({"net": "yolo"}, "--net yolo: there are sqdet, squeezedet"),
    "unknown loss": ({"loss": "yolo"}, "--loss yolo: there are sqdet, squeezedet2017, squeezedet"),
    "options of another loss": ({"squeezedet.box": 3}, "--squeezedet.*: has no effect with --loss sqdet"),
    "unknown layer": ({"frozen": "conv1,fire1"}, "no backbone layer called 'fire1'"),
    "options of another loss by its old name": ({"paper.box": 3}, "--squeezedet.*: has no effect with --loss sqdet"),
    "sizes and epochs": ({"epochs": 3}, "--sizes 96:1,64:1: sets sizes and epochs"),
    "sizes and size": ({"size": 64}, "--sizes 96:1,64:1: sets sizes and epochs"),
    "sizes": ({"sizes": "320"}, "--sizes 320: expected SIZE:EPOCHS"),
    "size too small": ({"net": "squeezedet-2017", "sizes": "32:1"}, "32 x 32 px is too small for this net"),
    "init missing": ({"init": "/nowhere.npz"}, "/nowhere.npz: no such file"),
    "too many shapes": ({"shapes": 1000}, "1000 anchor shapes need at least as many"),
    "no shapes": ({"shapes": 0}, "--anchors-per-cell 0: expected 1 or more"),
    "no batch": ({"batch": 0}, "--batch 0: expected 1 or more"),
    "never saved": ({"save_steps": 0}, "--save-steps 0: expected 1 or more"),
    "negative workers": ({"workers": -1}, "--workers -1: expected 0 or more"),
    "negative seed": ({"seed": -1}, "--seed -1: expected 0 or more"),
    "unknown device": ({"device": "abacus"}, "--device abacus: expected cpu, cuda or auto"),
    "exploding loss": ({"lr": 1e30, "warmup": 0}, "the loss is not finite (box "),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(fit_devkit: Path, tmp_path: Path, capsys, changes: dict, message: str):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", **({"save_steps": 100} | changes))) == 2
    _assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "run" / "last.pt").exists()


def _assert_one_line(errors: str, message: str) -> None:
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_cuda_is_said(fit_devkit: Path, tmp_path: Path, capsys):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", device="cuda")) == 2
    _assert_one_line(capsys.readouterr().err, "this PyTorch finds no CUDA device")


def test_resuming_nothing_is_said(tmp_path: Path, capsys):
    assert run_command(["fit", "--resume", str(tmp_path)]) == 2
    _assert_one_line(capsys.readouterr().err, "last.pt: no such checkpoint")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_named(tmp_path: Path, capsys, workers: int):
    """Also where a worker process meets it. It has no box, so the search for anchors does not read it before."""
    devkit = write_devkit(tmp_path / "voc", {"train": 3, "val": 1})
    write_photo(devkit, "bad", [])
    (devkit / "JPEGImages" / "bad.jpg").write_bytes(b"not a picture")
    write_list(devkit, "extra", ["bad"])
    assert run_command(fit_words(devkit, tmp_path / "run", lists="train,extra", workers=workers)) == 2
    _assert_one_line(capsys.readouterr().err, f"error: {devkit}/JPEGImages/bad.jpg: missing or not an image")


# -- parts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sizes"), [("320:2", [320, 320]), ("256:2,320:1", [256, 256, 320]), ("64:1,32:1", [64, 32])]
)
def test_sizes_by_epoch(text: str, sizes: list[int]):
    assert parse_sizes(text) == sizes


def parse_fit(*words: str) -> FitConfig:
    parser = argparse.ArgumentParser()
    fit.add_arguments(parser)
    return FitConfig.from_args(parser.parse_args(words))


@pytest.mark.slow
def test_size_and_epochs_are_one_phase():
    assert parse_fit().epoch_sizes == [320] * 20
    assert parse_fit("--epochs", "3").epoch_sizes == [320] * 3
    assert parse_fit("--size=64").epoch_sizes == [64] * 20
    assert parse_fit("--size=64", "--epochs=2").epoch_sizes == [64, 64]
    with pytest.raises(TrainError, match="--epochs 0: expected 1 or more"):
        parse_fit("--epochs=0")
    with pytest.raises(TrainError, match="--size 31: expected 32 or more"):
        parse_fit("--size=31")


@pytest.mark.slow
def test_size_and_epochs_replace_the_sizes_of_a_file(tmp_path: Path):
    file = tmp_path / "args.yaml"
    file.write_text("sizes: 96:2,64:1\nlists: a,b\n")
    assert parse_fit(f"--config={file}").epoch_sizes == [96, 96, 64]
    assert parse_fit(f"--config={file}", "--epochs=2").epoch_sizes == [64, 64]
    assert parse_fit(f"--config={file}", "--size=32").epoch_sizes == [32] * 3
    assert parse_fit(f"--config={file}").splits == "a,b"
    file.write_text("size: 96\nepochs: 2\n")
    assert parse_fit(f"--config={file}", "--sizes=64:1").epoch_sizes == [64]


def test_old_names_and_values_mean_the_same(tmp_path: Path):
    """Also the numbers and empty texts that stood for an option that is not given."""
    old = "--lists=a --shapes=5 --loss=gsoc --gsoc.box=7 --lr=0 --dropout=-1 --leaky-slope=-1 --init= --labels="
    new = "--splits=a --anchors-per-cell=5 --loss=squeezedet2017 --squeezedet2017.box=7"
    assert parse_fit(*old.split()) == parse_fit(*new.split())
    file = tmp_path / "args.yaml"
    file.write_text(
        "{lists: a, shapes: 5, loss: gsoc, gsoc: {box: 7}, lr: 0.0, dropout: -1.0, leaky_slope: -1.0, init: '',"
        " labels: '', lr_epochs: '', scale_schedule: false}"
    )
    assert from_yaml(file, FitConfig) == parse_fit(*new.split())


def test_a_removed_option_is_refused_where_it_had_an_effect(tmp_path: Path):
    file = tmp_path / "args.yaml"
    file.write_text("scale_schedule: true")
    with pytest.raises(TrainError, match="no option is called scale_schedule any more"):
        from_yaml(file, FitConfig)


@pytest.mark.slow
def test_a_notebook_can_train(fit_devkit: Path, tmp_path: Path):
    sizes = {"size": 64, "epochs": 2, "anchors_per_cell": 3, "batch": BATCH, "workers": 0, "watch": 0}
    result = train_detector(FitConfig(data=str(fit_devkit), out=str(tmp_path / "run"), **sizes))
    assert result.folder == tmp_path / "run"
    assert [row["epoch"] for row in result.history] == [1, 2]
    _, spec = net_from_checkpoint(result.best_checkpoint)
    assert spec.input_wh == (64, 64)


@pytest.mark.parametrize("text", ["", "320", "320:0", "31:5", "a:1", "320:1,", "320:1:2", "320:1.5", "-64:1"])
def test_bad_sizes_are_quoted(text: str):
    with pytest.raises(TrainError, match=f"--sizes {text}: expected"):
        parse_sizes(text)
