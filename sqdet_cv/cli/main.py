"""The command `sqdet`. Each sub-command is a module: `add` gives it a parser, `run` takes what that parsed.

Exit codes: 0 done, 2 bad input (or one source of many that could not be read), 130 Ctrl-C, 141 closed pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .. import __version__
from ..errors import SqdetError
from . import detect, info, unpack
from .exit_codes import exit_code
from .parser import OneLineParser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `sqdet`; argv without the program's name, None: the command line's. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot print is no error
    # A damaged video makes FFmpeg print a page from its threads; it reads this once, when it is first used.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    arguments = build_parser().parse_args(argv)
    with _one_line_warnings():
        return exit_code(lambda: arguments.run(arguments), (SqdetError,), _say)


def build_parser() -> argparse.ArgumentParser:
    """The parser of `sqdet` and all its sub-commands."""
    parser = OneLineParser(prog="sqdet", description="Object detection with cv2.dnn.")
    parser.add_argument("--version", action="version", version=f"sqdet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (detect, info, unpack):
        command.add(commands)
    return parser


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Warnings go to stderr like errors, without the line of our source that Python shows."""

    def show(message: Warning | str, *where: object) -> None:
        _say(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # where the warning arose is not shown
        yield


def _say(message: str) -> None:
    print(f"sqdet: {' '.join(message.split())}", file=sys.stderr)
