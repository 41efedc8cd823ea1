"""The frame of `python -m train` and `python -m export`: sub-commands, and errors as one line."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType


def build_parser(program: str, commands: dict[str, tuple[ModuleType, str]]) -> argparse.ArgumentParser:
    """The parser of a program whose `commands` are name to (module with add_arguments and run, one line of help)."""
    parser = argparse.ArgumentParser(prog=program)
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
    """Parses and runs one of `commands`, as of `build_parser`.

    Returns the exit code: 0, 130 after Ctrl-C, or 2 after one of `user_errors`, whose message is printed.
    """
    args = build_parser(program, commands).parse_args(argv)
    try:
        args.run(args)
    except user_errors as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _message(error: Exception) -> str:
    """Its one line; a DataLoader's worker process wraps that in its own traceback."""
    text = str(error).strip()
    if "\nOriginal Traceback" in text:
        text = text.splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
    return text
