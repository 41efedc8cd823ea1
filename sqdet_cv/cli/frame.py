"""The frame of `python -m train` and `python -m export`: sub-commands, and errors as one line."""

from __future__ import annotations

import argparse
import re
import sys
from types import ModuleType

from .exit_codes import exit_code
from .parser import OneLineParser


def build_parser(program: str, commands: dict[str, tuple[ModuleType, str]]) -> argparse.ArgumentParser:
    """The parser of a program.

    Args:
        commands: name to (module with `add_arguments` and `run`, one line of help).
    """
    parser = OneLineParser(prog=program)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, summary) in commands.items():
        subparser = subparsers.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def run_command(
    program: str,
    commands: dict[str, tuple[ModuleType, str]],
    argv: list[str] | None,
    user_errors: tuple[type[Exception], ...],
) -> int:
    """Parses and runs one of the commands, given as to `build_parser`; returns the exit code, as `exit_code` does."""
    args = build_parser(program, commands).parse_args(argv)

    def work() -> int:
        args.run(args)
        return 0

    return exit_code(work, user_errors, _say)


def _say(text: str) -> None:
    """Prints a message in one line; a DataLoader's worker process wraps that in its own traceback."""
    if "\nOriginal Traceback" in text:
        text = re.sub(r"^[\w.]+Error: ", "", text.strip().splitlines()[-1])
    print(f"error: {text.strip()}", file=sys.stderr)
