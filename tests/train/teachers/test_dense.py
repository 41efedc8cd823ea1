"""A dense teacher against cv2.dnn, which runs the same file, at its own input size and at others."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sqdet_cv.spec.detector_spec import VOC_LABELS, ModelSpec
from tests.train.trainers.fit_runs import assert_same_run, fit_words, interrupted, run_command
from train.common.errors import TrainError
from train.data.batch import Batch, collate, make_row
from train.data.transforms.geometry import LabeledImage
from train.models import FpnConfig, SqueezeDetFpn
from train.teachers.dense import DenseTeacher
from train.trainers.detection import DetectionTrainer

from .tiny_teacher import BINS, STRIDES, write_teacher

LABELS = ("ant", "bee", "cat", "dog")
CPU = torch.device("cpu")
NARROW = FpnConfig(backbone_fires=((8, 8, 8),) * 8, coarse_fires=((8, 8, 8),) * 2, width=8, fine_width=8)


def student_spec(size: int, labels: tuple[str, ...] = LABELS) -> ModelSpec:
    return ModelSpec(labels, (size, size), SqueezeDetFpn(NARROW, len(labels)).make_grids((size, size)))


def make_batch(spec: ModelSpec, count: int = 2) -> Batch:
    rng, size = np.random.default_rng(1), spec.input_wh[0]
    none = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.float32))
    classes = spec.num_classes
    views = [
        LabeledImage(rng.integers(0, 256, (size, size, 3), np.uint8), *none, np.zeros((0, classes), np.float32))
        for _ in range(count)
    ]
    return collate([make_row(view, np.ones(classes, bool), spec, False) for view in views], spec)


@pytest.mark.parametrize("size", [128, 96, 288, 352], ids=lambda size: f"{size} px")
def test_it_says_what_the_file_says_in_opencv(tmp_path: Path, size: int):
    """At another size than the file's a file for that size, of the same weights, is asked. 96, 288 and 352 px are no
    multiples of 64."""
    spec = student_spec(size)
    teacher = DenseTeacher(write_teacher(tmp_path / "teacher.onnx", LABELS, 128), LABELS)
    teacher.prepare(spec, CPU)
    batch = make_batch(spec)
    said = teacher(batch)
    net = cv2.dnn.readNetFromONNX(str(write_teacher(tmp_path / "sized.onnx", LABELS, size)))
    for n, image in enumerate(batch.pixels_bgr.numpy()):
        net.setInput(cv2.dnn.blobFromImage(image, mean=(90.0, 100.0, 110.0)))
        logits, bins = net.forward(["class_logits", "bins"])
        np.testing.assert_allclose(said.scores[n], 1 / (1 + np.exp(-logits[0])), atol=1e-5)
        shares = np.exp(bins[0].reshape(-1, 4, BINS))
        distances = (shares / shares.sum(axis=2, keepdims=True) * np.arange(BINS)).sum(axis=2)
        row = 0
        for stride in STRIDES:
            cells = -(-size // stride)
            for y, x in np.ndindex(cells, cells):
                left, top, right, bottom = distances[row] * stride
                box = (x * stride - left, y * stride - top, x * stride + right, y * stride + bottom)
                np.testing.assert_allclose(said.boxes_xyxy[n, row], box, atol=1e-3)
                row += 1


def test_classes_are_found_by_name(tmp_path: Path):
    path = write_teacher(tmp_path / "teacher.onnx", LABELS, 128)
    whole, some = student_spec(128), student_spec(128, ("dog", "ant"))
    teachers = DenseTeacher(path, LABELS), DenseTeacher(path, ("dog", "ant"))
    for teacher, spec in zip(teachers, (whole, some)):
        teacher.prepare(spec, CPU)
    all_scores, scores = (teacher(make_batch(spec)).scores for teacher, spec in zip(teachers, (whole, some)))
    torch.testing.assert_close(scores, all_scores[..., [3, 0]])


def test_other_cells_are_refused(tmp_path: Path):
    path = write_teacher(tmp_path / "teacher.onnx", LABELS, 128, strides=(8, 16, 32))
    with pytest.raises(TrainError, match=r"teacher\.onnx: has 336 cells at 128 x 128 px; expected the net's 340"):
        DenseTeacher(path, LABELS).prepare(student_spec(128), CPU)


def test_cells_at_other_places_are_refused(tmp_path: Path):
    """As many cells, the grids in another order."""
    path = write_teacher(tmp_path / "teacher.onnx", LABELS, 128, strides=(64, 32, 16, 8))
    with pytest.raises(TrainError, match="at the same places"):
        DenseTeacher(path, LABELS).prepare(student_spec(128), CPU)


def test_bad_files_are_named(tmp_path: Path):
    path = write_teacher(tmp_path / "teacher.onnx", LABELS, 128)
    with pytest.raises(TrainError, match="knows no class called 'zebra'"):
        DenseTeacher(path, ("zebra",))
    with pytest.raises(TrainError, match=r"nowhere\.onnx: no such"):
        DenseTeacher(tmp_path / "nowhere.onnx", LABELS)
    path.with_suffix(".json").unlink()
    with pytest.raises(TrainError, match=r"--teacher .*teacher\.json"):
        DenseTeacher(path, LABELS)


def fit(devkit: Path, out: Path, teacher: Path | None, **changes: object) -> list[str]:
    settings = {"net": "squeezedet-fpn", "loss": "task-aligned", "optimizer": "adamw", "lr": 1e-3, "cache": "ram"}
    settings |= {"teacher": teacher} if teacher else {}
    return fit_words(devkit, out, **(settings | changes))


@pytest.mark.slow
def test_a_run_is_taught_by_it_and_resumes_bit_for_bit(fit_devkit: Path, tmp_path: Path, monkeypatch):
    teacher = write_teacher(tmp_path / "teacher.onnx", VOC_LABELS, 128)
    assert run_command(fit(fit_devkit, tmp_path / "whole", teacher)) == 0
    with (tmp_path / "whole" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("teacher_class", "val_teacher_class", "val_class"):
        assert all(float(row[name]) > 0 for row in rows)

    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(DetectionTrainer._train_step))
    assert run_command(fit(fit_devkit, tmp_path / "run", teacher)) == 130
    monkeypatch.undo()
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")


BAD = {
    "another loss": ({"loss": "sqdet"}, "--teacher: has an effect only with --loss task-aligned"),
    "no weight": ({"task-aligned.teacher": 0}, "--teacher: has an effect only with --loss task-aligned"),
    "another net": ({"net": "sqdet"}, "cells at 96 x 96 px; expected the net's"),
    "cache": ({"cache": "cloud"}, "--cache cloud: there are ram, disk"),
    "size": ({"sizes": "100:1"}, "100 x 100 px: this net takes multiples of 32"),
    "dropout": ({"dropout": 0.5}, "--dropout: has no effect with --net squeezedet-fpn"),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_bad_options_are_one_line_before_anything_is_written(
    fit_devkit: Path, tmp_path: Path, capsys, changes: dict, said: str
):
    teacher = write_teacher(tmp_path / "teacher.onnx", VOC_LABELS, 128)
    assert run_command(fit(fit_devkit, tmp_path / "run", teacher, **changes)) == 2
    error = capsys.readouterr().err
    assert said in error and error.strip().count("\n") == 0
    assert not (tmp_path / "run").exists()
