"""Writes the tables of options in docs/commands.md from the programs' own parsers: python -m docs.generate_options"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import export.__main__
import train.__main__
from sqdet_cv.cli.frame import build_parser
from sqdet_cv.cli.main import build_parser as build_sqdet_parser

PAGE = Path(__file__).with_name("commands.md")
FIT = "python -m train fit"  # other commands share many of its options, which are explained there
BLOCK = re.compile(r"(<!-- options of (?P<command>.+?) -->\n).*?(<!-- end of options -->)", re.DOTALL)


def all_commands() -> dict[str, argparse.ArgumentParser]:
    """Every command of the three programs, as one types it, with its parser."""
    programs = {
        "sqdet": build_sqdet_parser(),
        "python -m train": build_parser("python -m train", train.__main__.COMMANDS),
        "python -m export": build_parser("python -m export", export.__main__.COMMANDS),
    }
    return {
        f"{program} {name}": command
        for program, parser in programs.items()
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


def option_rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Spelling and meaning of every documented argument; an old spelling, which has no help, is none of them."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help in (None, argparse.SUPPRESS) or isinstance(action, argparse._HelpAction):
            continue
        names = action.option_strings or [str(action.metavar or action.dest)]
        value = ""
        if action.option_strings and action.choices:
            value = " " + ",".join(map(str, action.choices))
        elif action.option_strings and action.metavar:
            value = f" {action.metavar if isinstance(action.metavar, str) else ' '.join(action.metavar)}"
        spelling = ", ".join(f"`{name}{value}`" for name in names)
        meaning = re.sub(r" \(default: \)$", "", formatter._expand_help(action)).replace("<", "&lt;")
        yield spelling.replace("|", r"\|"), " ".join(meaning.split()).replace("|", r"\|")


def option_table(command: str, parsers: dict[str, argparse.ArgumentParser]) -> str:
    """A Markdown table; what means the same in `fit` is only named."""
    rows = list(option_rows(parsers[command]))
    shared = set(option_rows(parsers[FIT])) if command != FIT else set()
    own = [row for row in rows if row not in shared]
    same = [spelling for spelling, meaning in rows if (spelling, meaning) in shared]
    lines = ["| option | meaning |", "|---|---|", *(f"| {spelling} | {meaning} |" for spelling, meaning in own)]
    if same:
        lines += ["", "As for `fit`: " + ", ".join(same) + "."]
    return "\n".join(lines if own else lines[3:]) + "\n"


def filled_in(page: str, parsers: dict[str, argparse.ArgumentParser]) -> str:
    """The page with the table of each `<!-- options of COMMAND -->` as the parsers have it now."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{option_table(found['command'], parsers)}\n{found[3]}", page)


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled_in(text, all_commands()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
