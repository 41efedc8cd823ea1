from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import make_spec, write_devkit
from tests.train.diagnosis.tiny import images, small_net
from train.common.errors import TrainError
from train.data.formats.voc import load_voc
from train.data.loader import DetectionData
from train.diagnosis.activations import BINS, Measurement, measure
from train.diagnosis.history import FILE, History, load_history, save_history
from train.diagnosis.monitor import ActivationMonitor, find_warnings, monitored_images
from train.models.fuse import convolutions


def measured(*dead: float, slope: float = 0.0, finite: bool = True) -> Measurement:
    """Of layers of 16 units, a, b, ..."""
    count = len(dead)
    return Measurement(
        tuple("abcdefgh"[:count]),
        np.full(count, 16),
        np.full(count, slope, np.float32),
        np.ones((count, BINS), np.int64),
        np.float32(dead),
        np.full(count, finite),
    )


def said(*shares: float, slope: float = 0.0) -> list[list[str]]:
    """The alarms epoch by epoch of one layer with these shares of silent units."""
    history, lines = History(), []
    for epoch, share in enumerate(shares, 1):
        found = measured(share, slope=slope)
        lines.append(find_warnings(history, found))
        history = history.with_epoch(epoch, found)
    return lines


def test_a_dead_layer_is_said_once():
    first, second, third, again = said(0.0, 15 / 16, 1.0, 1.0)
    assert first == third == again == []
    assert second == ["a has died: 15 of 16 units have no gradient; lower the learning rate, or use LeakyReLU 0.1"]


@pytest.mark.parametrize(
    ("shares", "when"),
    [
        ((0.0, 4 / 16, 8 / 16, 9 / 16, 10 / 16), [4]),
        ((4 / 16, 4 / 16, 12 / 16), []),
        ((8 / 16, 2 / 16, 11 / 16), [3]),
        ((0.0, 9 / 16, 1 / 16, 9 / 16), [2, 4]),
        ((0.75, 0.75), []),
        ((15 / 16,), [1]),
        ((0.0, 9 / 16, 15 / 16), [2, 3]),
    ],
    ids=["slowly", "little", "from the best", "twice", "as it began", "dead from the start", "dying, then dead"],
)
def test_alarms_come_when_a_limit_is_passed(shares: tuple[float, ...], when: list[int]):
    assert [epoch for epoch, lines in enumerate(said(*shares), 1) if lines] == when


def test_behind_leaky_relu_nothing_dies():
    assert said(0.0, 1.0, slope=0.01) == [[], []]


def test_only_the_layer_in_question_is_named():
    lines = find_warnings(History().with_epoch(1, measured(0, 0, 0)), measured(0.1, 1, 0))
    assert len(lines) == 1 and lines[0].startswith("b has died")
    assert find_warnings(History(), measured(0.0, finite=False)) == [
        "a: its values are not finite; lower the learning rate"
    ]


def test_a_watch_goes_on_where_the_run_does(tmp_path: Path):
    net, pictures = small_net(), images()
    watch = ActivationMonitor(tmp_path / "run", pictures)
    for epoch in (1, 2, 3):
        with torch.no_grad():
            net.features.conv1.bias += epoch
        watch.measure(net, epoch)
    again = ActivationMonitor(tmp_path / "run", pictures)
    assert again.history.epochs == (1, 2, 3)
    for a, b in zip(again.history.measurements, watch.history.measurements):
        assert a.layers == b.layers
        for name in ("units", "slopes", "histograms", "silent", "finite"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
    again.measure(net, 2)  # the run went back to the end of epoch 1
    loaded = load_history(tmp_path / "run")
    assert loaded.epochs == (1, 2)
    np.testing.assert_array_equal(loaded.measurements[1].histograms, measure(net, pictures).histograms)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE]


def test_a_watch_sees_a_layer_die(tmp_path: Path):
    net = small_net()
    with torch.no_grad():
        for conv in convolutions(net).values():
            conv.bias += 5  # so that all units fire
    watch = ActivationMonitor(tmp_path, images())
    assert watch.measure(net, 1) == []
    with torch.no_grad():
        net.features.fire5.squeeze[0].bias -= 1e6
    (line, *rest) = watch.measure(net, 2)
    assert line.startswith("fire5.squeeze has died: 4 of 4 units")
    assert not any("fire4" in other for other in rest)
    assert watch.measure(net, 3) == []
    assert ActivationMonitor(tmp_path, images()).measure(net, 4) == [], "said before the run was stopped"


def test_a_history_of_another_net_is_refused_unless_it_begins_anew(tmp_path: Path):
    ActivationMonitor(tmp_path, images()).measure(small_net(), 1)
    other = small_net(head_fires=((4, 6, 6),) * 2)
    with pytest.raises(TrainError, match="other layers"):
        ActivationMonitor(tmp_path, images()).measure(other, 2)
    ActivationMonitor(tmp_path, images()).measure(other, 1)
    assert load_history(tmp_path).measurements[0].layers[-1] == "fire11.expand_3x3"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not really", None], ids=["empty", "damaged", "cut"])
def test_a_damaged_history_is_named(tmp_path: Path, damage: bytes | None):
    save_history(tmp_path, History().with_epoch(1, measured(0.5)))
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:300] if damage is None else damage)
    with pytest.raises(TrainError, match="not a history of activations"):
        ActivationMonitor(tmp_path, images())


def test_there_may_be_no_history(tmp_path: Path):
    assert load_history(tmp_path).epochs == ()


def test_watched_photos_are_whole_and_come_from_all_of_the_list(tmp_path: Path):
    samples = load_voc(write_devkit(tmp_path, {"train": 7}), ["train"], VOC_LABELS)
    spec = make_spec(labels=VOC_LABELS)
    found = monitored_images(samples, spec, 3)
    data = DetectionData(samples, spec, None, 0, 0)
    assert found.shape == (3, 3, 64, 96)
    for image, i in zip(found, (0, 3, 6)):
        np.testing.assert_array_equal(image.numpy(), images_to_blob([data.view(i)[0].image_bgr], spec)[0])
    assert len(monitored_images(samples, spec)) == 7


def test_dead_is_silent_without_a_slope():
    mixed = replace(measured(0.5, 0.25), slopes=np.float32([0, 0.1]))
    assert mixed.dead.tolist() == [0.5, 0.0]
