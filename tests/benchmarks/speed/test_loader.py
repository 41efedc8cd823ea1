from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.speed.loader import main
from tests.helpers import write_devkit


@pytest.mark.parametrize("net", ["squeezedet-fpn", "sqdet"])
def test_the_ratios_are_those_of_the_speeds(tmp_path: Path, capsys, net: str):
    devkit = write_devkit(tmp_path, {"train": 4})
    few = f"--net {net} --size 64 --batch 2 --views 6 --steps 1 --rounds 1".split()
    assert main(["--data", str(devkit), *few]) == 0
    _, cores, model = capsys.readouterr().out.splitlines()
    files, memory, ratio = map(float, re.findall(r"(\d+\.\d+)", cores))
    speed, other = map(float, re.findall(r"(\d+\.\d+)", model))
    assert min(files, memory, speed) > 0
    assert ratio == pytest.approx(memory / files, rel=0.02)
    assert other == pytest.approx(memory / speed, rel=0.02)


def test_a_missing_data_set_is_named(capsys):
    assert main(["--data", "/nowhere"]) == 2
    assert "loader: /nowhere: no such folder" in capsys.readouterr().err
