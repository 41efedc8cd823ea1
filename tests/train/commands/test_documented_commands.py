"""The commands in README and docs/ are ones that the programs take."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

import export.__main__
import train.__main__
from sqdet_cv.cli.frame import build_parser
from sqdet_cv.cli.main import build_parser as build_sqdet_parser

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "sqdet_cv" / "models" / "README.md", *(ROOT / "docs").glob("*.md")])
PARSERS = {
    "python -m train": build_parser("python -m train", train.__main__.COMMANDS),
    "python -m export": build_parser("python -m export", export.__main__.COMMANDS),
    "sqdet": build_sqdet_parser(),
}
PROGRAM = re.compile(r"(?P<program>python -m train|python -m export|sqdet) (?P<arguments>[a-z].*)")


def snippets(text: str) -> list[str]:
    """What stands between single backticks, line breaks within as spaces, outside of blocks."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", outside)]


def block_lines(text: str) -> list[str]:
    """The lines of sh blocks, joined where they end with a backslash."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def find_commands(lines: list[str]) -> list[tuple[str, str]]:
    return [(found["program"], found["arguments"]) for line in lines if (found := PROGRAM.match(line))]


def command_parser(program: str, name: str) -> argparse.ArgumentParser:
    (subparsers,) = (one for one in PARSERS[program]._actions if isinstance(one, argparse._SubParsersAction))
    assert name in subparsers.choices, f"{program} has no command {name!r}"
    return subparsers.choices[name]


def test_there_are_commands_to_check():
    assert sum(len(find_commands(block_lines(page.read_text()))) for page in PAGES) > 5
    assert sum(len(find_commands(snippets(page.read_text()))) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_of_blocks_parse(page: Path, capsys: pytest.CaptureFixture[str]):
    for program, arguments in find_commands(block_lines(page.read_text())):
        words = shlex.split(arguments, comments=True)
        try:
            PARSERS[program].parse_args(words)
        except SystemExit as stop:
            assert stop.code == 0, f"{program} {arguments}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_and_their_options_exist(page: Path):
    for program, arguments in find_commands(snippets(page.read_text())):
        name, *words = arguments.split()
        options = command_parser(program, name)._option_string_actions
        for option in (word.strip("[],;.") for word in words if word.strip("[").startswith("--")):
            assert option in options, f"{program} {name} has no option {option}"


def test_the_check_finds_what_is_wrong():
    (found,) = find_commands(block_lines("```sh\npython -m train fit --dta VOC  # a slip\n```\n"))
    with pytest.raises(SystemExit):
        PARSERS[found[0]].parse_args(shlex.split(found[1], comments=True))
    assert find_commands(snippets("so `python -m train\nfit --dta D` runs")) == [("python -m train", "fit --dta D")]
    assert "--dta" not in command_parser("python -m train", "fit")._option_string_actions
