"""Command-line options from a dataclass: name, type, default and meaning stand in one place."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from dataclasses import field

from .errors import TrainError


def option(default: object, help: str) -> object:
    """A dataclass field with its meaning."""
    return field(default=default, metadata={"help": help})


def require_at_least(options: object, least: dict[str, float]) -> None:
    """Raises TrainError, which names the option, for the first attribute below its least value."""
    for name, low in least.items():
        if getattr(options, name) < low:
            raise TrainError(f"--{name.replace('_', '-')} {getattr(options, name)}: expected {low} or more")


def add_options(parser: argparse.ArgumentParser, cls: type, prefix: str = "") -> None:
    """One `--name` per field (`_` becomes `-`); a field that is itself a dataclass gives `--field.name`s."""
    types = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        name, kind = prefix + item.name.replace("_", "-"), types[item.name]
        if dataclasses.is_dataclass(kind):
            add_options(parser, kind, f"{name}.")
            continue
        help_text = f"{item.metadata.get('help', '')} (default: {item.default})".strip()
        if kind is bool:
            parser.add_argument(
                f"--{name}", action=argparse.BooleanOptionalAction, default=item.default, help=help_text
            )
        elif typing.get_origin(kind) is tuple:
            parts = typing.get_args(kind)
            parser.add_argument(f"--{name}", type=parts[0], nargs=len(parts), default=item.default, help=help_text)
        else:
            parser.add_argument(f"--{name}", type=kind, default=item.default, help=help_text)


def from_options(args: argparse.Namespace, cls: type, prefix: str = "") -> typing.Any:
    """The dataclass that the options describe."""
    types = typing.get_type_hints(cls)
    values = {}
    for item in dataclasses.fields(cls):
        name, kind = prefix + item.name, types[item.name]
        if dataclasses.is_dataclass(kind):
            values[item.name] = from_options(args, kind, f"{name}.")
        else:
            value = getattr(args, name)
            values[item.name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def from_dict(values: dict, cls: type) -> typing.Any:
    """The dataclass back from `dataclasses.asdict`, nested ones too."""
    types = typing.get_type_hints(cls)
    return cls(
        **{
            name: from_dict(value, types[name]) if dataclasses.is_dataclass(types[name]) else value
            for name, value in values.items()
        }
    )
