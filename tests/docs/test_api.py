"""docs/api.md names what can be imported, and pdoc makes a reference of it that has every name with its docstring."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sqdet_cv

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \|$", re.MULTILINE)
TABLE = {module: re.findall(r"`(\w+)`", names) for module, names in ROW.findall((ROOT / "docs" / "api.md").read_text())}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of HTML files that pdoc makes of all modules of the page."""
    pytest.importorskip("pdoc")
    out = tmp_path_factory.mktemp("api")
    command = [sys.executable, "-m", "pdoc", *TABLE, "--output-directory", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("module", TABLE)
def test_names_exist_and_say_what_they_are(module: str):
    for name in TABLE[module]:
        thing = getattr(importlib.import_module(module), name)
        assert not callable(thing) or thing.__doc__, f"{module}.{name} has no docstring"


@pytest.mark.slow
@pytest.mark.parametrize("module", TABLE)
def test_the_reference_has_every_name(reference: Path, module: str):
    html = reference.joinpath(*module.split(".")).with_suffix(".html").read_text()
    assert [name for name in TABLE[module] if f'id="{name}"' not in html] == []


def test_the_page_has_all_that_the_package_exports():
    assert set(TABLE["sqdet_cv"]) == set(sqdet_cv.__all__) - {"__version__"}
