"""argparse, whose errors are one line of the sub-command that they are about."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Its sub-commands' parsers are of this class too.

    >>> OneLineParser(prog="tool").parse_args(["--lod", "x"])  # doctest: +SKIP
    tool: unrecognized arguments: --lod x (see tool --help)
    """

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit code 2; argparse would print the whole usage before the message."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]  # one signature for both overloads
        """Refuses arguments that it does not know, which argparse leaves to the parser of the whole program."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown
