"""`--tensorboard`: the numbers of a run as TensorBoard reads them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from ..common.errors import TrainError

EVERY = 10  # steps between two entries of the training loss


class EventLog:
    """Writes into a folder, or nothing where there is none. A context manager: its end writes what is left.

    Raises:
        TrainError: the package is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.writer = None
        if folder is not None and importlib.util.find_spec("tensorboard") is None:
            raise TrainError("--tensorboard: needs the package; pip install tensorboard")

    def __enter__(self) -> EventLog:
        if self.folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def step(self, step: int, parts: Mapping[str, float], rate: float) -> None:
        """The loss of every tenth step, `step` counted over the whole run from 1."""
        if self.writer is not None and step % EVERY == 0:
            for name, value in (parts | {"sum": sum(parts.values())}).items():
                self.writer.add_scalar(f"step/{name}", value, step)
            self.writer.add_scalar("step/lr", rate, step)

    def epoch(self, step: int, row: Mapping[str, float]) -> None:
        """A line of results.csv, at the step where it came about."""
        if self.writer is not None:
            for name, value in row.items():
                if name != "epoch":
                    self.writer.add_scalar(f"epoch/{name}", value, step)
