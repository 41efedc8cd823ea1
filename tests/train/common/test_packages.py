from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from train.common.packages import needs_packages

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("program", "package"), [("train", "tqdm"), ("export", "torch"), ("train", "yaml")])
def test_a_missing_package_is_said_in_a_line(tmp_path: Path, program: str, package: str):
    """As where `pip install .` was run alone: numpy and cv2 are all that is there."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    said = f"error: python -m {program} needs {package}: pip install -c constraints.txt '.[train]'\n"
    assert (done.returncode, done.stderr, done.stdout) == (2, said, "")


def test_a_module_of_ours_that_is_missing_is_a_bug():
    with pytest.raises(ModuleNotFoundError), needs_packages("python -m train"):
        raise ModuleNotFoundError(name="train.nothing")


def test_ctrl_c_while_packages_are_imported(capsys):
    with pytest.raises(SystemExit, match="130"), needs_packages("python -m train"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "interrupted\n"
