from __future__ import annotations

import re
from pathlib import Path

from benchmarks.speed.loader import main
from tests.helpers import write_devkit


def test_the_ratio_is_that_of_the_speeds(tmp_path: Path, capsys):
    devkit = write_devkit(tmp_path, {"train": 4})
    few = "--size 64 --batch 2 --batches 2 --steps 1 --rounds 1 --workers 0".split()
    assert main(["--data", str(devkit), *few]) == 0
    loader, model, ratio = map(float, re.findall(r"(\d+\.\d+)", capsys.readouterr().out))
    assert min(loader, model) > 0
    assert abs(ratio - loader / model) <= 0.01 + 0.1 * ratio  # of rounded numbers


def test_a_missing_data_set_is_named(capsys):
    assert main(["--data", "/nowhere"]) == 2
    assert "loader: /nowhere: no such folder" in capsys.readouterr().err
