from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv import Detector
from sqdet_cv.dnn.preprocess import images_to_blob
from sqdet_cv.spec.detector_spec import VOC_LABELS
from tests.helpers import Thing, make_spec, write_devkit, write_list, write_photo
from tests.train.diagnosis.tiny import small_net
from train.data.assign import assign
from train.data.cache import read_image
from train.data.formats.voc import load_voc
from train.data.loader import DetectionData
from train.data.sample import Sample
from train.diagnosis import confidence
from train.diagnosis.confidence import BINS, ConfidenceCounts, count_confidences, plot_confidence
from train.models import SqueezeDet, build_net


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def slow_counts(net: SqueezeDet, spec, samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Anchor by anchor, from the grid of the net as the architecture page describes its channels."""
    positive, negative = np.zeros(BINS, int), np.zeros(BINS, int)
    k, c = spec.grid.anchors_per_cell, spec.num_classes
    for i, sample in enumerate(samples):
        blob = images_to_blob([read_image(sample.image_path)], spec)
        with torch.no_grad():
            grid = net(torch.from_numpy(blob))[0].numpy()
        view, _ = DetectionData(samples, spec, None, 0, 0).view(i)
        targets = assign(view.boxes_xyxy, view.class_ids, view.ignore, view.weights, view.class_probabilities, spec)
        rows, columns = spec.grid.hw
        for row in range(rows):
            for column in range(columns):
                for shape in range(k):
                    anchor = (row * columns + column) * k + shape
                    place = min(int(sigmoid(grid[k * c + shape, row, column]) * BINS), BINS - 1)
                    class_id = int(np.argmax(grid[shape * c : (shape + 1) * c, row, column]))
                    if targets.positive_weight[anchor] > 0:
                        positive[place] += 1
                    elif targets.negative[anchor] and sample.labelled[class_id]:
                        negative[place] += 1
    return positive, negative


@pytest.fixture
def net() -> SqueezeDet:
    torch.manual_seed(0)
    net = build_net("squeezedet", 2, 20, backbone_fires=((4, 6, 6),) * 8, head_fires=((4, 6, 6),)).eval()
    with torch.no_grad():  # so that confidences and classes differ from place to place
        net.convdet.weight *= 100
        net.convdet.bias[:] = 0
    return net


def test_counts_are_those_of_a_slow_loop(net: SqueezeDet, tmp_path: Path):
    samples = load_voc(write_devkit(tmp_path, {"train": 11}), ["train"], VOC_LABELS)
    assert any(not sample.labelled.all() for sample in samples) and any(sample.ignore.any() for sample in samples)
    spec = make_spec(labels=VOC_LABELS, input_wh=(96, 64), grid_hw=net.grid_hw((96, 64)))
    found = count_confidences(net, spec, samples)
    positive, negative = slow_counts(net, spec, samples)
    assert (positive > 0).sum() > 3 and (negative > 0).sum() > 3
    # a confidence on the border of two bins may be rounded into the other
    assert abs(found.positive - positive).sum() <= 2 and found.positive.sum() == positive.sum()
    assert abs(found.negative - negative).sum() <= 2


def test_negatives_of_unlabelled_classes_do_not_count(tmp_path: Path):
    net = small_net().eval()
    with torch.no_grad():
        net.convdet.weight[:] = 0
        net.convdet.bias[:] = 0
        net.convdet.bias[[1, 3 + 1]] = 5.0  # both shapes: class 1
        net.convdet.bias[6:8] = torch.tensor([100.0, -100.0])  # sure of the first shape, sure of nothing by the second
    spec = make_spec(labels=("bird", "cat", "dog"), grid_hw=net.grid_hw((96, 64)))
    cells = spec.grid.hw[0] * spec.grid.hw[1]
    for name, labelled, counted in (("all", None, True), ("cat", "cat", True), ("dog", "bird dog", False)):
        write_photo(tmp_path, name, [], (96, 64), labelled)
        write_list(tmp_path, name, [name])
        found = count_confidences(net, spec, load_voc(tmp_path, [name], spec.labels))
        assert found.positive.sum() == 0
        assert found.negative[0] == found.negative[-1] == cells * counted
        assert found.negative.sum() == 2 * cells * counted
    write_photo(tmp_path, "box", [Thing("dog", (0, 0, 40, 40))], (96, 64), "dog")
    write_list(tmp_path, "box", ["box"])
    found = count_confidences(net, spec, load_voc(tmp_path, ["box"], spec.labels))
    assert found.positive.sum() > 0, "objects count whatever the net calls them"
    path = tmp_path / "confidence.png"
    plot_confidence(path, found, "title")
    assert min(read_image(path).shape[:2]) > 400


def test_the_threshold_drawn_is_the_detectors_default(tmp_path: Path, monkeypatch):
    drawn = []
    monkeypatch.setattr(confidence, "save", lambda figure, path: drawn.append(figure))
    counts = np.zeros(BINS, int)
    counts[[29, 30]] = 1, 3  # from 0.29, and from 0.3
    plot_confidence(tmp_path / "confidence.png", ConfidenceCounts(counts, counts), "title")
    axes = drawn[0].axes[0]
    default = inspect.signature(Detector).parameters["score_threshold"].default
    assert [line.get_xdata()[0] for line in axes.lines] == [default]
    assert any(f"75 % of them above {default}" in text.get_text() for text in axes.get_legend().get_texts())
