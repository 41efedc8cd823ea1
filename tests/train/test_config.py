from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field

import pytest

from train.config import add_options, from_dict, from_options, option
from train.fit import FitConfig


@dataclass(frozen=True)
class Inner:
    span: tuple[float, float] = option((0.5, 1.5), "from and to")
    twice: float = 2.0


@dataclass(frozen=True)
class Outer:
    some_name: str = option("abc", "a text")
    count: int = option(3, "a number")
    fast: bool = option(False, "a switch")
    inner: Inner = field(default_factory=Inner)


def _parse(cls: type, *words: str) -> object:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, cls)
    return from_options(parser.parse_args(words), cls)


PARSED = {
    "nothing": ([], Outer()),
    "text and number": (["--some-name", "x y", "--count", "-4"], Outer(some_name="x y", count=-4)),
    "switch on": (["--fast"], Outer(fast=True)),
    "switch off": (["--fast", "--no-fast"], Outer()),
    "pair": (["--inner.span", "1", "2.5"], Outer(inner=Inner(span=(1.0, 2.5)))),
    "nested without a help": (["--inner.twice=4"], Outer(inner=Inner(twice=4.0))),
}


@pytest.mark.parametrize(("words", "expected"), PARSED.values(), ids=PARSED)
def test_options_become_the_dataclass(words: list[str], expected: Outer):
    assert _parse(Outer, *words) == expected


@pytest.mark.parametrize("words", [["--count", "x"], ["--inner.span", "1"], ["--unknown", "1"]])
def test_wrong_options_are_refused(words: list[str]):
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        _parse(Outer, *words)


def test_help_gives_meaning_and_default(capsys):
    parser = argparse.ArgumentParser()
    add_options(parser, Outer)
    text = " ".join(parser.format_help().split())
    assert "--some-name SOME_NAME a text (default: abc)" in text
    assert "from and to (default: (0.5, 1.5))" in text


def test_a_fit_config_survives_its_dict():
    config = _parse(FitConfig, "--augment.window-size", "0.3", "2", "--loss.box", "7", "--sizes", "64:1")
    assert (config.augment.window_size, config.loss.box) == ((0.3, 2.0), 7.0)
    assert from_dict(dataclasses.asdict(config), FitConfig) == config
    json.dumps(dataclasses.asdict(config))


def test_every_fit_option_has_a_meaning():
    for item in dataclasses.fields(FitConfig):
        assert item.metadata.get("help") or dataclasses.is_dataclass(item.default_factory), item.name
