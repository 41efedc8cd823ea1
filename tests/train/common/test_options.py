from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.common.errors import TrainError
from train.common.options import add_options, current_name, from_dict, from_options, from_yaml, option, to_yaml
from train.losses import LOSSES
from train.trainers.detection_config import FitConfig


@dataclass(frozen=True)
class Inner:
    span: tuple[float, float] = option((0.5, 1.5), "from and to")
    twice: float = option(2.0, "")


@dataclass(frozen=True)
class Outer:
    some_name: str = option("abc", "a text")
    count: int = option(3, "a number")
    fast: bool = option(False, "a switch")
    inner: Inner = field(default_factory=Inner)
    limit: float | None = option(None, "a limit", aliases=("most",), unset=(-1.0,))


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
    "not given": (["--limit=-1"], Outer()),
    "given": (["--limit=0"], Outer(limit=0.0)),
    "by its old name": (["--most=2"], Outer(limit=2.0)),
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
    assert "a limit" in text and "None" not in text and "--most" not in text


def test_an_option_that_need_not_be_given_survives_its_yaml(tmp_path: Path):
    for config in (Outer(), Outer(limit=0.5)):
        (tmp_path / "args.yaml").write_text(to_yaml(config))
        assert from_yaml(tmp_path / "args.yaml", Outer) == config
    for text in ("limit: -1", "most: -1.0", "limit: null"):
        (tmp_path / "args.yaml").write_text(text)
        assert from_yaml(tmp_path / "args.yaml", Outer) == Outer()


def test_old_names_of_options_are_found():
    assert current_name(FitConfig, "ours.box") == "sqdet.box"
    assert current_name(FitConfig, "shapes") == "anchors_per_cell"
    assert current_name(FitConfig, "nothing.box") == "nothing.box"


def test_a_fit_config_survives_its_dict():
    config = _parse(FitConfig, "--augment.window-size", "0.3", "2", "--sqdet.box", "7", "--sizes", "64:1")
    assert (config.augment.window_size, config.sqdet.box) == ((0.3, 2.0), 7.0)
    assert from_dict(dataclasses.asdict(config), FitConfig) == config
    json.dumps(dataclasses.asdict(config))


def test_a_config_of_before_there_were_several_losses_is_read():
    """Their checkpoints and args.yaml hold the options of `sqdet` as `loss`."""
    config = _parse(FitConfig, "--sqdet.box", "7", "--batch", "3")
    old = {name: value for name, value in dataclasses.asdict(config).items() if name not in LOSSES}
    old["loss"] = dataclasses.asdict(config.sqdet)
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
    with pytest.raises(TrainError, match=r"--squeezedet2017\.\*: has no effect with --loss squeezedet"):
        _parse(FitConfig, "--loss", "paper", "--gsoc.box", "4")
    assert _parse(FitConfig, "--loss", "gsoc", "--gsoc.box", "4").squeezedet2017.box == 4


def test_every_fit_option_has_a_meaning():
    for item in dataclasses.fields(FitConfig):
        assert item.metadata.get("help") or dataclasses.is_dataclass(item.default_factory), item.name


# -- YAML -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    name: str = option("", "a text")
    rate: float = option(1.0, "a number")
    count: int = option(3, "how many")
    fast: bool = option(False, "a switch")
    span: tuple[float, float] = option((0.5, 1.5), "from and to")


@given(
    st.builds(
        Plain,
        name=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
        rate=st.floats(allow_nan=False),
        count=st.integers(),
        fast=st.booleans(),
        span=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    )
)
def test_yaml_gives_the_dataclass_back(tmp_path_factory, config: Plain):
    path = tmp_path_factory.mktemp("yaml") / "args.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert from_yaml(path, Plain) == config


def test_yaml_has_type_and_meaning_beside_each_key(tmp_path: Path):
    text = to_yaml(FitConfig(lr=1e-5, clip=float("inf")))
    lines = text.splitlines()
    assert "lr: 1.0e-05  # a number, or null; " in text
    assert "  window_size: [0.45, 1.4]  # numbers; smallest and largest width of that window, of the image's" in lines
    assert all(
        "  # " in line or line in ("sqdet:", "squeezedet2017:", "squeezedet:", "task_aligned:", "augment:")
        for line in lines
    )
    (tmp_path / "args.yaml").write_text(text)
    assert from_yaml(tmp_path / "args.yaml", FitConfig) == FitConfig(lr=1e-5, clip=float("inf"))


BAD_YAML = {
    "not there": (None, "no such file"),
    "not YAML": ("a: [", "not YAML"),
    "a list": ("- 1", "expected options, NAME: VALUE"),
    "unknown": ("btach: 3", "no option is called btach"),
    "unknown within": ("augment: {flop: 1}", "augment: no option is called flop"),
    "another type": ("batch: many", "batch is 'many'; expected a whole number"),
    "a number for a switch": ("amp: 1", "amp is 1; expected true or false"),
    "a true for a number": ("lr: true", "lr is True; expected a number"),
    "not two": ("augment: {window_size: [1]}", "window_size is [1]; expected 2 values"),
    "not options": ("augment: 3", "augment is 3; expected options of its own"),
    "out of range": ("batch: 0", "--batch 0: expected 1 or more"),
}


@pytest.mark.parametrize(("text", "message"), BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml_is_named(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "args.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TrainError) as error:
        from_yaml(path, FitConfig)
    assert message in str(error.value)


def test_options_come_before_a_file():
    parser = argparse.ArgumentParser()
    add_options(parser, Outer)
    base = Outer(some_name="from the file", count=9, inner=Inner(twice=5.0))
    args = parser.parse_args(["--count", "3", "--inner.span", "1", "2"])
    assert from_options(args, Outer, base=base) == Outer("from the file", 3, False, Inner((1.0, 2.0), 5.0))
