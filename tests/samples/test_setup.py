"""The set-up scripts on systems that are not this one: with a Python of ours that only says what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.released import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("sh"), reason="no shell")
PYTHON = """#!/bin/sh
case "$*" in
*ensurepip*) exit {ensurepip} ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*) echo "asked: $*" ;;
esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(folder: Path, command: str, ensurepip: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a PATH without /sbin, as a Debian user who is not root has it."""
    program(folder / "dpkg", "#!/bin/sh\n")
    program(folder / "id", "#!/bin/sh\necho 1000\n")
    python = program(folder / "python3.12", PYTHON.format(ensurepip=ensurepip))
    environment |= {"PATH": f"{folder}:/usr/bin:/bin", "PYTHON": str(python)}
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def missing_libraries() -> list[str]:
    found = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    packages = {"libGL.so.1": "libgl1", "libglib-2.0.so.0": "libglib2.0-0"}
    return [package for library, package in packages.items() if library not in found]


@pytest.mark.skipif(not os.path.exists("/sbin/ldconfig"), reason="no ldconfig")
@pytest.mark.parametrize("ensurepip", [0, 1], ids=["venv", "no venv"])
def test_what_a_debian_user_lacks_is_found_though_ldconfig_is_not_in_the_path(tmp_path: Path, ensurepip: int):
    folder = tmp_path / "a folder"
    done = run(tmp_path / "bin", f'. samples/setup.sh; make_environment "{folder}" one two', ensurepip)
    expected = ["python3.12-venv"] * ensurepip + missing_libraries()
    if expected:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.split("apt-get install")[1].split() == expected
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "asked: -m pip install --quiet --disable-pip-version-check one two\n"


@pytest.mark.skipif(bool(missing_libraries()) if os.path.exists("/sbin/ldconfig") else True, reason="needs libGL")
@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("", "tests/sqdet_cv tests/samples"),
        ("-k name", "tests/sqdet_cv tests/samples -k name"),
        ("tests/sqdet_cv/test_detector.py", "tests/sqdet_cv/test_detector.py"),
        ("-x tests/sqdet_cv/test_detector.py::test_a", "-x tests/sqdet_cv/test_detector.py::test_a"),
    ],
)
def test_paths_that_are_given_are_all_that_is_tested(tmp_path: Path, arguments: str, asked: str):
    environment = {"OPENCV": "4.10.0.84", "ENVIRONMENT": str(tmp_path / "an environment")}
    done = run(tmp_path / "bin", f"sh tests/run.sh {arguments}", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"asked: -m pytest -q -n 2 {asked}"
