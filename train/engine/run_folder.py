"""The folder of a training run, apart from its checkpoints."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqdet_cv.util.atomic_files import write_text_atomically

from ..common.errors import TrainError
from ..common.options import to_yaml

ARGS = "args.yaml"


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    Attributes:
        folder: its folder.
        history: a row of results.csv for each epoch.
        best_checkpoint: the checkpoint of the best epoch.
    """

    folder: Path
    history: list[dict[str, float]]
    best_checkpoint: Path


def create_run_folder(out: Path, config: object) -> None:
    """Makes the folder and writes args.yaml: every option of a dataclass with its type and meaning."""
    write_text_atomically(out / ARGS, to_yaml(config))


def require_new_run(out: Path, file: str = "last.pt") -> None:
    """Raises TrainError where the folder holds `file` already: a new run would overwrite an old one."""
    if (out / file).exists():
        raise TrainError(f"{out}: holds a run already; go on with it by --resume {out}, or name another")


def write_results(out: Path, history: Sequence[dict]) -> None:
    """results.csv: a row for each epoch; the columns are the keys of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0])
    writer.writeheader()
    writer.writerows(history)
    write_text_atomically(out / "results.csv", text.getvalue())
