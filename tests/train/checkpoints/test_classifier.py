from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from train.checkpoints.classifier import squeezenet_from_weights
from train.common.errors import TrainError
from train.models import SqueezeNet
from train.models.squeezenet import FIRES


def caffe_arrays(net: SqueezeNet) -> dict[str, np.ndarray]:
    """A net's weights in the names of the ImageNet archives."""
    layers = {"conv1": net.features.conv1, "conv10": net.conv10}
    for name in FIRES:
        fire = net.features.get_submodule(name)
        layers[f"{name}/squeeze1x1"] = fire.squeeze[0]
        layers[f"{name}/expand1x1"], layers[f"{name}/expand3x3"] = fire.expand_1x1[0], fire.expand_3x3[0]
    arrays = {}
    for name, layer in layers.items():
        arrays[f"{name}/weights"] = layer.weight.detach().numpy()
        arrays[f"{name}/bias"] = layer.bias.detach().numpy()
    return arrays


def make_net(version: str = "1.1", classes: int = 7) -> SqueezeNet:
    torch.manual_seed(0)
    return SqueezeNet(version, classes).eval()


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_version_and_classes_are_found(tmp_path: Path, version: str, suffix: str):
    net, path = make_net(version), tmp_path / f"w{suffix}"
    if suffix == ".npz":
        np.savez(path, **caffe_arrays(net))
    else:
        torch.save(net.state_dict(), path)
    loaded, found = squeezenet_from_weights(path)
    assert found == version and not loaded.training
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(image), net(image))
    assert squeezenet_from_weights(path, version)[1] == version


def _npz(**changes: np.ndarray | None):
    def write(path: Path) -> None:
        arrays = caffe_arrays(make_net()) | changes
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    return write


def _pt(**changes: torch.Tensor):
    return lambda path: torch.save(make_net().state_dict() | changes, path)


zeros = np.zeros
BAD = {
    "missing": ("w.npz", lambda path: None, "no such file; expected an ImageNet archive"),
    "suffix": ("w.bin", Path.touch, "expected an ImageNet archive"),
    "npz: text": ("w.npz", lambda path: path.write_text("hello"), "not a NumPy archive"),
    "npz: other names": ("w.npz", lambda path: np.savez(path, a=zeros(3)), "no convolution conv1/weights in it"),
    "npz: no conv10": ("w.npz", _npz(**{"conv10/weights": None}), "no convolution conv10/weights in it"),
    "npz: odd conv1": ("w.npz", _npz(**{"conv1/weights": zeros((64, 3, 5, 5))}), r"shape \(64, 3, 5, 5\), as no"),
    "npz: a fire lacks": ("w.npz", _npz(**{"fire3/squeeze1x1/weights": None}), "no array of shape"),
    "pt: text": ("w.pt", lambda path: path.write_text("hello"), "not saved by torch.save"),
    "pt: a list": ("w.pt", lambda path: torch.save([1, 2], path), "holds a list"),
    "pt: another net": ("w.pt", lambda path: torch.save({"a": torch.zeros(2)}, path), "no convolution features.conv1"),
    "pt: NaN": ("w.pt", _pt(**{"conv10.bias": torch.full((7,), torch.nan)}), "conv10.bias holds NaN or infinite"),
    "pt: too much": ("w.pt", _pt(more=torch.zeros(2)), "not the weights of a SqueezeNet: .*more"),
}


@pytest.mark.parametrize(("name", "write", "message"), BAD.values(), ids=BAD)
def test_a_file_of_no_use_is_named(tmp_path: Path, name: str, write, message: str):
    write(tmp_path / name)
    with pytest.raises(TrainError, match=message) as caught:
        squeezenet_from_weights(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(caught.value)


def test_another_version_than_asked_for_is_refused(tmp_path: Path):
    torch.save(make_net("1.1").state_dict(), tmp_path / "w.pt")
    with pytest.raises(TrainError, match=r"w\.pt: the weights of SqueezeNet 1\.1, not 1\.0"):
        squeezenet_from_weights(tmp_path / "w.pt", "1.0")
