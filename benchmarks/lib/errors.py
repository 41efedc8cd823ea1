"""How a benchmark ends where its input is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqdet_cv.errors import SqdetError
from train.common.errors import TrainError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with an error's message, not its traceback. `@one_line_errors()` does so for a function."""
    try:
        yield
    except (SqdetError, TrainError) as error:
        raise SystemExit(f"error: {error}") from None
