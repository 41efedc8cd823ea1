from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import make_spec
from train.checkpoints.native import load_checkpoint, net_from_checkpoint, save_checkpoint
from train.common.errors import TrainError
from train.models import NetConfig, SqueezeDet

CONFIG = NetConfig(head_fires=((4, 6, 6),), head_norm=True, convdet_kernel=1, convdet_padding=0, leaky_slope=0.01)


@pytest.fixture
def net() -> SqueezeDet:
    torch.manual_seed(0)
    return SqueezeDet(CONFIG, 2, 5)


def test_what_was_saved_comes_back(tmp_path: Path, net: SqueezeDet):
    averaged = {name: value + 1 for name, value in net.state_dict().items()}
    save_checkpoint(tmp_path / "a.pt", net, make_spec(), averaged, {"epoch": 3, "history": [{"val_map": 0.5}]})
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert (loaded["epoch"], loaded["history"]) == (3, [{"val_map": 0.5}])
    assert all(torch.equal(value, loaded["model"][name]) for name, value in net.state_dict().items())

    again, spec = net_from_checkpoint(tmp_path / "a.pt")
    assert (again.config, spec, again.training) == (CONFIG, make_spec(), False)
    assert all(torch.equal(value, averaged[name]) for name, value in again.state_dict().items()), "the average is used"


def test_a_failed_save_keeps_the_old_one(tmp_path: Path, net: SqueezeDet):
    save_checkpoint(tmp_path / "a.pt", net, make_spec(), {}, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(tmp_path / "a.pt", net, make_spec(), {}, {"epoch": lambda: 2})
    assert load_checkpoint(tmp_path / "a.pt")["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def _saved(values: object):
    return lambda path: torch.save(values, path)


class NotPlain:
    """What an untrusted file could run code with."""


BAD = {
    "missing": (lambda path: None, "no such checkpoint"),
    "a folder": (Path.mkdir, "no such checkpoint"),
    "empty": (Path.touch, "not a checkpoint: EOFError"),
    "text": (lambda path: path.write_text("hello"), "not a checkpoint"),
    "half a zip": (lambda path: path.write_bytes(b"PK\x03\x04half"), "not a checkpoint"),
    "another dict": (_saved({"weights": 1}), "not a checkpoint of sqdet-cv"),
    "a tensor": (_saved(torch.zeros(2)), "not a checkpoint of sqdet-cv"),
    "a later format": (_saved({"format": "sqdet-checkpoint-9"}), "not a checkpoint of sqdet-cv"),
    "an object": (_saved(NotPlain()), "not a checkpoint"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, make, message: str):
    path = tmp_path / "x.pt"
    make(path)
    with pytest.raises(TrainError, match=message) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_checkpoint_is_named(tmp_path: Path, net: SqueezeDet):
    save_checkpoint(tmp_path / "a.pt", net, make_spec(), {}, {})
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainError, match=r"a\.pt: not a checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")], ids=str)
@pytest.mark.parametrize("name", ["convdet.weight", "head.fire10.squeeze.1.running_var"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, net: SqueezeDet, name: str, bad: float):
    averaged = {key: value.clone() for key, value in net.state_dict().items()}
    averaged[name].view(-1)[-1] = bad
    save_checkpoint(tmp_path / "a.pt", net, make_spec(), averaged, {})
    with pytest.raises(TrainError, match=f"a.pt: {name} holds NaN"):
        net_from_checkpoint(tmp_path / "a.pt")
