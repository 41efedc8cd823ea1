"""The frame of `python -m train` and `python -m export`: sub-commands, and errors as one line."""

from __future__ import annotations

import argparse
import os
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

    Returns the exit code: 0, 130 after Ctrl-C, 141 where the output went into a pipe that closed, or 2 after one of
    `user_errors`, or what the system refuses (a disk that is full, a folder that may not be written to), whose message
    is printed.
    """
    args = build_parser(program, commands).parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()  # a closed pipe shows here, not at exit where nobody can catch it
    except user_errors as error:
        return _fail(_message(error))
    except BrokenPipeError:  # `python -m train models | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (open until exit, for Python's last flush)
        return 141
    except OSError as error:
        if not error.filename:
            raise
        return _fail(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _message(error: Exception) -> str:
    """Its one line; a DataLoader's worker process wraps that in its own traceback."""
    text = str(error).strip()
    if "\nOriginal Traceback" in text:
        text = text.splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
    return text
