"""notebooks/tutorial.ipynb runs from its first cell to its last, here on a tiny set, and holds its outputs.

The code cells are run in order by `exec`: nothing in them needs IPython, so that a kernel and its twenty packages need
not be installed to run the tests.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "tutorial.ipynb"
TINY = {"TRAIN_IMAGES": 12, "VAL_IMAGES": 4, "SIZE": 96, "EPOCHS": 1}


def code_cells() -> dict[str, dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell for cell in cells if cell["cell_type"] == "code"}


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))  # which the first cell adds to
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names: dict[str, Any] = {}
    for cell_id, cell in code_cells().items():
        exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{cell_id}", "exec"), names)
        if cell_id == "parameters":
            assert names.keys() >= TINY.keys()
            names.update(TINY)
    out = capsys.readouterr().out
    assert "('cat', 0." in out
    assert "| **mean** (3 classes) |" in out
    assert names["WORK"].parent == tmp_path
    assert all((names["WORK"] / name).is_file() for name in ("run/best.pt", "shapes.onnx", "shapes.json"))
    assert names["mine"].spec.labels == names["LABELS"]


def test_it_was_executed_in_one_go_and_without_an_error():
    cells = code_cells().values()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output["output_type"] for cell in cells for output in cell["outputs"]]
    assert "error" not in kinds
    images = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(images) == 3
