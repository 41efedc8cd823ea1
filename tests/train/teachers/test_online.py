from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sqdet_cv import Detections
from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from tests.helpers import write_devkit
from train.common.errors import TrainError
from train.common.options import from_yaml
from train.data.batch import Batch
from train.data.formats.voc import load_voc
from train.data.loader import DetectionData, epoch_order, make_loader
from train.data.transforms.augment import AugmentConfig
from train.data.transforms.geometry import LabeledImage
from train.losses import SqdetLossConfig
from train.teachers.online import ViewTeacher
from train.teachers.soft_labels import class_shares
from train.trainers.detection_config import FitConfig

from ..detectors.tiny_darknet import make_darknet, needs_importer
from ..trainers.fit_runs import fit_words, run_command

LABELS = ("cat", "dog")
BIRD = VOC_LABELS.index("bird")


def test_shares_of_several_objects_at_once_are_those_of_each_alone():
    """Against a loop over the detections, for objects that share some of them."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 60, (30, 2))], axis=1).astype(np.float32)
    class_ids, scores = rng.integers(0, 3, 20), rng.uniform(0, 0.5, 20)
    found = Detections(boxes[:20], class_ids, scores, ["x"] * 20)
    shares = class_shares(boxes[10:], found, 3, doubt=0.3, same_iou=0.5)
    assert shares.dtype == np.float32
    for row, (x1, y1, x2, y2) in zip(shares, boxes[10:].tolist(), strict=True):
        best = [0.0, 0.0, 0.0]
        for (u1, v1, u2, v2), class_id, score in zip(boxes[:20].tolist(), class_ids, scores):
            inter = max(min(x2, u2) - max(x1, u1), 0) * max(min(y2, v2) - max(y1, v1), 0)
            if inter > 0.5 * ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter):
                best[class_id] = max(best[class_id], score)
        expected = np.array(best) / sum(best) if max(best) >= 0.3 else np.zeros(3)
        np.testing.assert_allclose(row, expected, atol=1e-6)
    assert 5 < shares.any(axis=1).sum() < 20, "both cases were there"


def make_view(boxes: list, said: list) -> LabeledImage:
    """64 x 96, black but for a red left half; `said` are the labels' class probabilities."""
    image_bgr = np.zeros((96, 64, 3), np.uint8)
    image_bgr[:, :32, 2] = 255
    count = len(boxes)
    rows = [np.zeros(count, int), np.zeros(count, bool), np.ones(count, np.float32)]
    return LabeledImage(image_bgr, np.float32(boxes).reshape(-1, 4), *rows, np.float32(said).reshape(-1, 2))


@needs_importer
def test_the_objects_that_it_sees_are_what_it_says(tmp_path: Path):
    """It finds "cat" of 16 x 24 px in the cells of the red half."""
    teacher = ViewTeacher(str(make_darknet(tmp_path)), LABELS)
    asked = teacher(make_view([(8, 4, 24, 28), (40, 4, 56, 28)], [(0.5, 0.5), (0.5, 0.5)]))
    np.testing.assert_allclose(asked.class_probabilities[0], (1, 0), atol=0.02)
    assert asked.class_probabilities[1].tolist() == [0.5, 0.5], "in the black half it sees none"
    assert asked.class_probabilities.dtype == np.float32
    assert teacher(make_view([], [])).class_probabilities.shape == (0, 2)


@needs_importer
def test_it_is_asked_about_the_view_and_not_about_the_photo(tmp_path: Path):
    teacher = ViewTeacher(str(make_darknet(tmp_path)), LABELS)
    view = make_view([(8, 4, 24, 28)], [(0.5, 0.5)])
    view.image_bgr[:, :, 0] = view.image_bgr[:, :, 2]  # what was red is now red and blue: a dog
    np.testing.assert_allclose(teacher(view).class_probabilities, [(0, 1)], atol=0.02)


@pytest.fixture
def sees_birds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers that take everything for a bird, wherever it is."""

    def everywhere(image_bgr: np.ndarray) -> Detections:
        height, width = image_bgr.shape[:2]
        xs, ys = np.linspace(0, width, 9), np.linspace(0, height, 9)
        boxes = [(x1, y1, x2, y2) for x1 in xs for x2 in xs if x2 > x1 for y1 in ys for y2 in ys if y2 > y1]
        return Detections(boxes, [BIRD] * len(boxes), [0.5] * len(boxes), ["bird"] * len(boxes))

    monkeypatch.setattr("train.teachers.online.open_together", lambda *_: everywhere)


def test_batches_hold_its_answers_and_workers_change_nothing(sees_birds: None, tmp_path: Path):
    samples = load_voc(write_devkit(tmp_path, {"train": 7}), ["train"], VOC_LABELS)
    spec = ModelSpec.single(VOC_LABELS, (64, 48), (2, 3), ((20, 20), (40, 30)))

    def batches(teacher: ViewTeacher | None, workers: int) -> list[Batch]:
        data = DetectionData(samples, spec, AugmentConfig(), 0, 0, teacher)
        return list(make_loader(data, epoch_order(samples, 0, 0, 0), 4, workers))

    teacher = ViewTeacher("birds", VOC_LABELS)
    alone, here, there = batches(None, 0), batches(teacher, 0), batches(teacher, 1)
    for a, b, c in zip(alone, here, there, strict=True):
        for name in vars(a):
            assert torch.equal(getattr(b, name), getattr(c, name)), name
            assert torch.equal(getattr(a, name), getattr(b, name)) == ("probabilities" not in name), name
        positive = b.positive_weight > 0
        bird = b.class_probabilities[positive][:, BIRD]
        assert (bird == 1).float().mean() > 0.8  # the rest, too thin for its boxes, is as labelled
        assert (a.class_probabilities[positive][:, BIRD] == 1).float().mean() < 0.5


@pytest.mark.slow
def test_a_run_is_taught_by_it(sees_birds: None, fit_devkit: Path, tmp_path: Path):
    """Half of the class target is its bird, which the labels' are not."""
    losses = {}
    for name, model in (("with", "birds"), ("without", "")):
        assert run_command(fit_words(fit_devkit, tmp_path / name, sizes="64:1", view_teacher=model)) == 0
        first, second = (tmp_path / name / "results.csv").read_text().splitlines()
        losses[name] = dict(zip(first.split(","), second.split(",")))
    assert losses["with"]["class"] != losses["without"]["class"]
    config = from_yaml(tmp_path / "with" / "args.yaml", FitConfig)
    assert config.view_teacher == "birds"


BAD = {
    "missing": ("none.cfg", "none.cfg: no such file"),
    "of no known kind": ("none.txt", "none.txt: a detector is a .pt checkpoint"),
}


@needs_importer
@pytest.mark.parametrize(("model", "message"), BAD.values(), ids=BAD)
def test_a_bad_model_is_named_before_the_run(fit_devkit: Path, tmp_path: Path, capsys, model: str, message: str):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", view_teacher=model)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@needs_importer
def test_a_model_of_other_classes_is_refused_before_the_run(fit_devkit: Path, tmp_path: Path, capsys):
    assert run_command(fit_words(fit_devkit, tmp_path / "run", view_teacher=make_darknet(tmp_path))) == 2
    assert "the Darknet model has 2 classes, expected 20" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"loss": "squeezedet2017"}, {"sqdet": SqdetLossConfig(teacher=0.0)}])
def test_where_it_would_have_no_effect_it_is_refused(changes: dict):
    with pytest.raises(TrainError, match="--view-teacher: has an effect only with --loss sqdet"):
        FitConfig(view_teacher="a.cfg", **changes)
