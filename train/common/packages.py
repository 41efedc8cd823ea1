"""What is said where the packages for training are not installed: one line, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

OWN = ("sqdet_cv", "train", "export")


@contextmanager
def needs_packages(program: str) -> Iterator[None]:
    """Around imports: ends the program with exit code 2 where another's package is missing, 130 after Ctrl-C."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in OWN:
            raise
        print(f"error: {program} needs {error.name}: pip install -c constraints.txt '.[train]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # PyTorch alone takes a second or more
        print("interrupted", file=sys.stderr)
        sys.exit(130)
