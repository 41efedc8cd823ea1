"""What a training run leaves in its folder beside checkpoints, and how Ctrl-C ends it."""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqdet_cv.util.atomic_files import write_text_atomically

from ..common.errors import TrainError
from ..common.options import to_yaml

ARGS = "args.yaml"


def begin_run(out: Path, config: object) -> None:
    """Makes the folder and writes args.yaml: every option of a dataclass with its type and meaning."""
    write_text_atomically(out / ARGS, to_yaml(config))


def refuse_old_run(out: Path, mark: str = "last.pt") -> None:
    """Raises TrainError if the folder holds a run, known by the file `mark`, which a new one would overwrite."""
    if (out / mark).exists():
        raise TrainError(f"{out}: holds a run already; go on with it by --resume {out}, or name another")


def write_results(out: Path, history: Sequence[dict]) -> None:
    """results.csv: a line an epoch; the columns are the keys of the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0])
    writer.writeheader()
    writer.writerows(history)
    write_text_atomically(out / "results.csv", text.getvalue())


class StopRequest:
    """Whether Ctrl-C was pressed."""

    asked = False


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """While the block runs, Ctrl-C sets `asked` instead of raising, so that a step is done whole or not at all."""
    request = StopRequest()

    def ask(*_: object) -> None:
        request.asked = True

    previous = signal.signal(signal.SIGINT, ask)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)
