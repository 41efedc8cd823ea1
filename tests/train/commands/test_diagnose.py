from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import make_spec, write_devkit
from tests.released import MODEL
from tests.train.diagnosis.tiny import FIRES, images, small_net
from train.__main__ import main
from train.checkpoints.classifier import center_crop_spec
from train.checkpoints.native import save_checkpoint, save_classifier
from train.diagnosis import plots
from train.diagnosis.history import load_history
from train.diagnosis.monitor import ActivationMonitor
from train.models import SqueezeNet, build_net

PICTURES = ["activations.png", "confidence.png", "conv1_filters.png", "dead_units.png", "weights.png"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The images of many panels are touched instead of drawn; what they would show, by name."""
    shown: dict[str, object] = {}

    def touch(path: Path, what: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        shown[path.name] = what

    for name in ("plot_activations", "plot_dead_units", "plot_weights"):
        monkeypatch.setattr(plots, name, touch)
    return shown


def write_run(folder: Path, name: str = "best.pt") -> Path:
    torch.manual_seed(0)
    net = build_net("squeezedet", 2, len(VOC_LABELS), **FIRES)
    spec = make_spec(labels=VOC_LABELS, grid_hw=net.grid_hw((96, 64)))
    save_checkpoint(folder / name, net, spec, net.state_dict(), {"epoch": 3})
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def test_a_run_that_was_watched_is_drawn_with_its_history(tmp_path: Path, quick, capsys):
    run, devkit = write_run(tmp_path / "run"), write_devkit(tmp_path / "voc", {"train": 3, "val": 2})
    watch = ActivationMonitor(run, images())
    for epoch in (1, 2):
        watch.measure(small_net(), epoch)
    before = (run / "activations.npz").read_bytes()
    assert main(["diagnose", str(run), "--data", str(devkit), "--workers", "0"]) == 0
    assert names(run) == PICTURES
    assert quick["activations.png"].epochs == (1, 2)
    assert str(run / "confidence.png") in capsys.readouterr().out
    assert (run / "activations.npz").read_bytes() == before


def test_a_released_model_is_measured_as_a_checkpoint_is(tmp_path: Path, quick, capsys):
    command = ["diagnose", str(MODEL), "--data", str(write_devkit(tmp_path / "voc", {"train": 3, "val": 2}))]
    assert main([*command, "--workers", "0", "--out", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == PICTURES
    assert quick["activations.png"].epochs == (1,)
    assert main(command) == 2, "the package is no place for images"
    assert "sqdet_voc.sqdet: --out FOLDER is needed" in capsys.readouterr().err


def test_a_checkpoint_alone_is_measured_where_there_are_photos(tmp_path: Path, quick):
    run, devkit = write_run(tmp_path / "run"), write_devkit(tmp_path / "voc", {"train": 3, "val": 2})
    command = [
        "diagnose",
        str(run / "best.pt"),
        "--data",
        str(devkit),
        "--workers",
        "0",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 0
    assert names(tmp_path / "out") == PICTURES and names(run) == []
    assert quick["activations.png"].epochs == (3,)
    assert not load_history(run).epochs and not load_history(tmp_path / "out").epochs


def test_without_photos_the_weights_are_drawn(tmp_path: Path, quick, capsys):
    run = write_run(tmp_path / "run", "last.pt")
    assert main(["diagnose", str(run)]) == 0
    assert names(run) == ["conv1_filters.png", "weights.png"]
    assert "without --data there is no confidence.png, nor any activations" in capsys.readouterr().out


def test_of_a_classifier_the_weights_are_drawn(tmp_path: Path, quick, capsys):
    net, spec = SqueezeNet("1.1", 2), center_crop_spec(("cat", "dog"), (64, 64))
    save_classifier(tmp_path / "best.pt", net, "1.1", spec, net.state_dict(), {})
    assert main(["diagnose", str(tmp_path)]) == 0
    assert names(tmp_path) == ["conv1_filters.png", "weights.png"]
    assert main(["diagnose", str(tmp_path), "--data", "nowhere"]) == 2
    assert "of a classifier; --data is for detectors" in capsys.readouterr().err


def test_a_dead_layer_is_said(tmp_path: Path, quick, capsys):
    run, net = write_run(tmp_path / "run"), small_net()
    with torch.no_grad():
        net.features.fire5.squeeze[0].bias -= 1e6
    ActivationMonitor(run, images()).measure(net, 1)
    assert main(["diagnose", str(run)]) == 0
    assert "fire5.squeeze has died: 4 of 4 units" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.pt"], "nowhere.pt: no such checkpoint"),
        (["."], ".: neither best.pt nor last.pt in it"),
        (["x.pt", "--photos", "65"], "--images 65: expected 64 at most"),
        (["x.pt", "--photos", "0"], "--images 0: expected 1 or more"),
    ],
    ids=["missing", "no run", "many", "none"],
)
def test_wrong_input_is_named(words: list[str], message: str, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", *words]) == 2
    assert message in capsys.readouterr().err
