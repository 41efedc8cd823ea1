"""docs/commands.md explains every option of every program, as the parsers have it now."""

from __future__ import annotations

import argparse

import pytest

from docs.generate_options import BLOCK, PAGE, all_commands, filled_in, option_rows, option_table

COMMANDS = all_commands()


def test_every_command_has_its_section():
    assert {found["command"] for found in BLOCK.finditer(PAGE.read_text())} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_option_stands_in_the_page(command: str):
    (block,) = (found[0] for found in BLOCK.finditer(PAGE.read_text()) if found["command"] == command)
    spellings = [spelling for spelling, _ in option_rows(COMMANDS[command])]
    assert spellings
    assert [one for one in spellings if one not in block] == [], "run: python -m docs.generate_options"


def test_the_page_is_up_to_date():
    text = PAGE.read_text()
    assert filled_in(text, COMMANDS) == text, "run: python -m docs.generate_options"


def test_tables_hold_values_meanings_and_no_old_spellings():
    fit, other = argparse.ArgumentParser(), argparse.ArgumentParser()
    for parser in (fit, other):
        parser.add_argument("--data", help="a | b")
    other.add_argument("model", metavar="MODEL", help="a file")
    other.add_argument("--head", choices=("one", "two"), default="one", help="which (default: %(default)s)")
    other.add_argument("--old", help=argparse.SUPPRESS)
    parsers = {"python -m train fit": fit, "other": other}
    assert option_table("python -m train fit", parsers).splitlines()[2:] == [r"| `--data` | a \| b |"]
    assert option_table("other", parsers).splitlines()[2:] == [
        "| `MODEL` | a file |",
        "| `--head one,two` | which (default: one) |",
        "",
        "As for `fit`: `--data`.",
    ]
