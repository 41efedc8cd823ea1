"""argparse, whose errors are one line of the sub-command that they are about."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


class OneLineParser(argparse.ArgumentParser):
    """Its sub-commands' parsers are of this class too.

    >>> OneLineParser(prog="tool").parse_args(["--lod", "x"])  # doctest: +SKIP
    tool: unrecognized arguments: --lod x (see tool --help)
    """

    def error(self, message: str) -> None:
        """Ends the program with exit code 2; argparse would print the whole usage before the message."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuses arguments that it does not know, which argparse leaves to the parser of the whole program."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown
