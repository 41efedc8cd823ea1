from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.dnn.preprocess import classifier_blob
from sqdet_cv.spec.classifier_spec import ClassifierSpec
from tests.colour_folder import write_colour_folder
from train.checkpoints.initialize import initialise
from train.checkpoints.native import classifier_from_checkpoint
from train.common.options import from_yaml
from train.data.cache import read_image
from train.data.image_folder import read_image_folder
from train.models import NETS, SqueezeDet
from train.models.squeezenet import SqueezeNet, initialize_weights
from train.trainers.classification import ClassificationTrainer, ClassifyConfig

from .classify_runs import BATCH, LABELS, classify_words, load, run_command

# -- a run ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_colours_are_learnt_from_scratch(colour_data: Path, tmp_path: Path, capsys):
    """Chance is 33 %. After half of these epochs it depends on the machine's arithmetic whether all are right."""
    settings = {"epochs": 30, "batch": 6, "lr": 0.02, "ema": 0.8, "save_steps": 100, "dropout": 0.2}
    assert run_command(classify_words(colour_data, tmp_path / "run", **settings)) == 0
    with (tmp_path / "run" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.75 * float(rows[0]["loss"])
    assert max(float(row["val_top1"]) for row in rows) == 1.0
    assert {row["val_top5"] for row in rows} == {"1.0"}, "there are three classes"

    # Judged again, the best epoch is what results.csv says of it. It is the first that is right about the list val, on
    # some machines before all training images are known; the last one knows them all.
    for file, chosen, pictures in (("best.pt", "val", 6), ("last.pt", "train", 12)):
        capsys.readouterr()
        words = ["classify", "--eval", str(tmp_path / "run" / file), "--data", str(colour_data), "--val", chosen]
        assert run_command(words) == 0
        said = rf"top-1 100\.0 %, top-5 100\.0 % of {pictures} images\n"
        assert re.fullmatch(said, capsys.readouterr().out), file


@pytest.mark.slow
def test_what_a_run_leaves_behind(classify_reference: Path):
    names = ["args.yaml", "best.pt", "curves.png", "last.pt", "results.csv"]
    assert sorted(path.name for path in classify_reference.iterdir()) == names
    config = from_yaml(classify_reference / "args.yaml", ClassifyConfig)
    assert (config.size, config.batch, config.augment.flip) == (32, BATCH, 0.5)
    with (classify_reference / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    net, version, spec = classifier_from_checkpoint(classify_reference / "best.pt")
    assert version == "1.1" and not net.training
    # 227 of 256 pixels, in proportion
    assert spec == ClassifierSpec(LABELS, (32, 32), resize="center_crop", resize_side=36)


def test_a_detector_starts_from_a_classifier(classify_reference: Path):
    net = SqueezeDet(NETS["squeezedet"][0], 3, 3)
    said = initialise(net, classify_reference / "best.pt").line
    assert said.startswith("best.pt: 25 of ")
    weights = load(classify_reference / "best.pt")["ema"]
    for name in ("features.conv1.weight", "features.fire9.expand_3x3.0.bias"):
        assert torch.equal(net.state_dict()[name], weights[name])


def test_init_leaves_out_the_last_layer_of_other_classes(
    colour_data: Path, classify_reference: Path, tmp_path: Path, capsys
):
    two = tmp_path / "two"
    for split in ("train", "val"):
        (two / split).mkdir(parents=True)
        for label in LABELS[:2]:
            (two / split / label).symlink_to(colour_data / split / label)
    assert (
        run_command(classify_words(two, tmp_path / "run", init=classify_reference / "best.pt", lr=1e-12, epochs=1)) == 0
    )
    assert "best.pt: 25 of 26 layers; new: conv10.weight" in capsys.readouterr().out
    before, after = load(classify_reference / "best.pt"), load(tmp_path / "run" / "last.pt")
    name = "features.fire5.squeeze.0.weight"
    assert torch.equal(after["model"][name], before["ema"][name])
    assert after["model"]["conv10.weight"].shape == (2, 512, 1, 1)


def test_weights_from_scratch_keep_the_size_of_the_signal():
    torch.manual_seed(0)
    net = SqueezeNet("1.1", 10).eval()
    initialize_weights(net)
    with torch.no_grad():
        features = net.features(torch.randn(2, 3, 96, 96) * 64)
        scores = net(torch.randn(2, 3, 96, 96) * 64)
    assert 0.1 < features.std() < 10
    assert scores.min() > 0.2, "no class begins near the ReLU's zero"


# -- schedules ------------------------------------------------------------------------------------------------


def make_run(colour_data: Path, **changes: object) -> ClassificationTrainer:
    config = ClassifyConfig(data=str(colour_data), size=32, batch=BATCH, epochs=2, **changes)
    spec = ClassifierSpec(LABELS, (32, 32))
    return ClassificationTrainer(config, SqueezeNet("1.1", 3), spec, config.folders())


def test_the_cosine_ends_near_zero_and_the_backbone_learns_more_slowly(colour_data: Path):
    run = make_run(colour_data, warmup=2, backbone_lr=0.25)
    assert [run.scheduler.factor(i) for i in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert run.scheduler.factor(5) < 0.2
    assert {group["base_lr"] for group in run.optimizer.param_groups} == {0.01, 0.0025}


# -- errors ---------------------------------------------------------------------------------------------------

BAD = {
    "no data": ({"data": ""}, "classify needs --data"),
    "missing folder": ({"data": "nowhere"}, "nowhere/train: no such folder; expected"),
    "missing val": ({"val": "test"}, "test: no such folder; expected"),
    "tiny input": ({"size": 31}, "--size 31: expected 32 or more"),
    "no epoch": ({"epochs": 0}, "--epochs 0: expected 1 or more"),
    "negative rate": ({"lr": -1}, "--lr -1.0: expected above 0"),
    "smoothing": ({"label_smoothing": 1}, "--label-smoothing 1.0: expected at least 0, below 1"),
    "version": ({"version": "2"}, "--version 2: there are 1.0, 1.1"),
    "schedule": ({"schedule": "adam"}, "--schedule adam: there are cosine"),
    "device": ({"device": "abacus"}, "--device abacus: expected cpu, cuda or auto"),
    "exploding loss": ({"lr": 1e30, "warmup": 0, "clip": 1e30}, "the loss is not finite (loss nan); lower --lr"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_errors_are_one_line(colour_data: Path, tmp_path: Path, capsys, changes: dict, message: str):
    assert run_command(classify_words(colour_data, tmp_path / "run", **({"save_steps": 100} | changes))) == 2
    assert_one_line(capsys.readouterr().err, message)
    assert not (tmp_path / "run" / "last.pt").exists()


def assert_one_line(errors: str, message: str) -> None:
    last = errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in errors


def test_a_run_is_not_begun_over_another(colour_data: Path, classify_reference: Path, capsys):
    before = (classify_reference / "last.pt").read_bytes()
    assert run_command(classify_words(colour_data, classify_reference)) == 2
    assert_one_line(capsys.readouterr().err, "holds a run already; go on with it by --resume")
    assert (classify_reference / "last.pt").read_bytes() == before


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named(tmp_path: Path, capsys, workers: int):
    """Also where a worker process meets it."""
    data = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1})
    (data / "train" / "red" / "bad.jpg").write_bytes(b"not a picture")
    assert run_command(classify_words(data, tmp_path / "run", workers=workers)) == 2
    assert_one_line(capsys.readouterr().err, f"error: {data}/train/red/bad.jpg: missing or not an image")


@pytest.mark.slow
def test_one_class_is_not_enough(tmp_path: Path, capsys):
    data = write_colour_folder(tmp_path / "data", {"train": 1, "val": 1})
    for label in LABELS[1:]:
        for split in ("train", "val"):
            shutil.rmtree(data / split / label)
    assert run_command(classify_words(data, tmp_path / "run")) == 2
    assert_one_line(capsys.readouterr().err, "train: one class, 'blue'; expected two or more")


@pytest.mark.slow
def test_the_best_epoch_is_judged_by_the_val_pictures(colour_data: Path, classify_reference: Path):
    """val_top1 of results.csv is what the averaged weights in best.pt say about them, one by one."""
    net, _, spec = classifier_from_checkpoint(classify_reference / "best.pt")
    folder = read_image_folder(colour_data / "val", spec.labels)
    with torch.no_grad():
        right = [
            net(torch.from_numpy(classifier_blob(read_image(path), spec))).argmax().item() == class_id
            for path, class_id in zip(folder.paths, folder.class_ids)
        ]
    with (classify_reference / "results.csv").open() as file:
        assert max(float(row["val_top1"]) for row in csv.DictReader(file)) == pytest.approx(np.mean(right))
