from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field

import pytest

from train.config import add_options, from_dict, from_options, option
from train.errors import TrainError
from train.fit import FitConfig
from train.losses import LOSSES


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
    config = _parse(FitConfig, "--augment.window-size", "0.3", "2", "--ours.box", "7", "--sizes", "64:1")
    assert (config.augment.window_size, config.ours.box) == ((0.3, 2.0), 7.0)
    assert from_dict(dataclasses.asdict(config), FitConfig) == config
    json.dumps(dataclasses.asdict(config))


def test_a_config_of_before_there_were_several_losses_is_read():
    """Their checkpoints and config.json hold the options of `ours` as `loss`."""
    config = _parse(FitConfig, "--ours.box", "7", "--batch", "3")
    old = {name: value for name, value in dataclasses.asdict(config).items() if name not in LOSSES}
    old["loss"] = dataclasses.asdict(config.ours)
    assert FitConfig.from_saved(old) == config
    assert FitConfig.from_saved(dataclasses.asdict(config)) == config


def test_a_config_of_before_there_were_more_augmentations_is_read():
    """What they lack is off, as it was."""
    old = dataclasses.asdict(_parse(FitConfig, "--augment.flip", "0.25"))
    first = "window window_size window_aspect keep_visible flip colour hue saturation brightness".split()
    old["augment"] = {name: old["augment"][name] for name in first}
    augment = FitConfig.from_saved(old).augment
    assert augment.flip == 0.25
    assert {augment.flip_vertical, augment.rotate, augment.contrast, augment.noise, augment.mosaic} == {0}
    assert {augment.blur_gaussian, augment.blur_average} == {0}


def test_options_of_another_loss_are_refused():
    with pytest.raises(TrainError, match=r"--gsoc\.\*: has no effect with --loss paper"):
        _parse(FitConfig, "--loss", "paper", "--no-gsoc.plus-one")
    assert _parse(FitConfig, "--loss", "gsoc", "--no-gsoc.plus-one").gsoc.plus_one is False


def test_every_fit_option_has_a_meaning():
    for item in dataclasses.fields(FitConfig):
        assert item.metadata.get("help") or dataclasses.is_dataclass(item.default_factory), item.name
