"""The folder of a training run, apart from its checkpoints, and how Ctrl-C ends the run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from sqdet_cv.util.atomic_files import write_text_atomically
from sqdet_cv.util.interrupt import CtrlC

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


class StopRequest(CtrlC):
    """`CtrlC` that never raises, so that a step is done whole or not at all. A second signal need not be a second key
    press: torchrun passes the terminal's on to processes that got it already."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
