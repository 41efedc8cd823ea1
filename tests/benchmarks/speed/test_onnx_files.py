"""Files of one net are timed side by side; one that computes something else is an error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from benchmarks.speed.onnx_files import BASE, largest_difference, load_runners, main
from export.graph.trace import trace
from export.onnx.model import INPUT, detector_model
from sqdet_cv.spec.detector_spec import ModelSpec
from train.models import SqueezeDet, build_net

LABELS = ("cat", "dog", "person")
ANCHORS = ((12.0, 20.0), (40.0, 30.0))


@pytest.fixture
def net() -> SqueezeDet:
    torch.manual_seed(3)
    return build_net("sqdet", len(ANCHORS), len(LABELS)).eval()


def write(net: SqueezeDet, folder: Path, name: str) -> None:
    size_wh = (96, 64)
    spec = ModelSpec(LABELS, size_wh, net.grid_hw(size_wh), ANCHORS, grid_inset=net.grid_inset)
    spec.save(folder / f"{name}.json")
    onnx.save(detector_model(trace(net, INPUT), spec, "convdet"), folder / f"{name}.onnx")


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        pytest.param([1.0, 2.0, 3.5], 0.5, id="value"),
        pytest.param([1.0, 2.0], np.inf, id="shape"),
        pytest.param([1.0, np.nan, 3.0], np.nan, id="nan"),
    ],
)
def test_difference(changed, difference):
    expected = {"deltas": np.zeros(2), "confidence": np.array([1.0, 2.0, 3.0])}
    found = expected | {"confidence": np.array(changed)}
    np.testing.assert_equal(largest_difference(found, expected), difference)
    assert largest_difference({"deltas": expected["deltas"]}, expected) == np.inf


def test_a_row_for_every_file(net: SqueezeDet, tmp_path: Path, capsys):
    write(net, tmp_path, BASE)
    write(net, tmp_path, "same")
    main([str(tmp_path), "--rounds", "1", "--threads", "1"])
    title, header, *rows = capsys.readouterr().out.strip().splitlines()
    assert title.startswith(f"OpenCV {cv2.__version__}, 1 threads, 96 x 64 px")
    assert {row[:20].strip() for row in rows} >= {BASE, "same"}
    median, lowest, ratio, cpu, cpu_ratio = map(float, next(row for row in rows if row.startswith("base ")).split()[1:])
    assert median == lowest > 0 and cpu > 0 and ratio == cpu_ratio == 1


def test_a_file_that_computes_something_else_is_an_error(net: SqueezeDet, tmp_path: Path, capfd):
    write(net, tmp_path, BASE)
    net.convdet.bias.data += 0.01
    write(net, tmp_path, "other")
    with pytest.raises(SystemExit, match="ended"):
        main([str(tmp_path), "--rounds", "1"])
    assert "other differs from base by" in capfd.readouterr().err


def test_folder_without_a_base_is_an_error(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"no base\.onnx"):
        load_runners(tmp_path)
