from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.multi_scale import STEPS, size_of_step, sizes_around
from train.trainers.detection import DetectionTrainer

from ..trainers.fit_runs import assert_same_run, fit_words, interrupted, run_command


@given(st.integers(32, 640), st.floats(0, 0.99))
def test_sizes_are_near_and_multiples_of_the_stride(size: int, share: float):
    sizes = sizes_around(size, share)
    assert size in sizes and sizes == sorted(set(sizes))
    assert all(n % 32 == 0 and size * (1 - share) <= n <= size * (1 + share) for n in sizes if n != size)


def test_without_a_share_the_size_stays():
    assert {size_of_step(250, 0.0, 0, 0, step) for step in range(100)} == {250}


def test_every_size_comes_and_stays_for_ten_steps():
    drawn = [size_of_step(256, 0.25, 7, 3, step) for step in range(2000)]
    assert set(Counter(drawn)) == {192, 224, 256, 288, 320}
    assert all(len(set(drawn[i : i + STEPS])) == 1 for i in range(0, 2000, STEPS))
    assert drawn != [size_of_step(256, 0.25, 7, 4, step) for step in range(2000)], "epochs differ"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_of_many_sizes_resumes_bit_for_bit(fit_devkit: Path, tmp_path: Path, monkeypatch, workers: int):
    words = {"sizes": "96:1,128:2", "multi_scale": 0.4, "net": "squeezedet"}
    assert run_command(fit_words(fit_devkit, tmp_path / "whole", **words)) == 0
    seen = []
    step = DetectionTrainer._train_step

    def watch(self: DetectionTrainer, batch: object) -> dict:
        seen.append(tuple(batch.images.shape[2:]))
        return step(self, batch)

    monkeypatch.setattr(DetectionTrainer, "_train_step", interrupted(watch))
    for _ in range(9):
        command = ["--resume", str(tmp_path / "run")] if seen else None
        words_now = ["fit", *command] if command else fit_words(fit_devkit, tmp_path / "run", workers=workers, **words)
        run_command(words_now)
    assert len(seen) == 9 and len(set(seen)) > 1
    assert run_command(["fit", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    with (tmp_path / "run" / "results.csv").open() as file:
        assert [row["size"] for row in csv.DictReader(file)] == ["96", "128", "128"]
