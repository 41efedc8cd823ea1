"""Options from a dataclass: name, type, default and meaning stand in one place, for the command line and for YAML."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from dataclasses import field
from pathlib import Path

import yaml

from .errors import TrainError


def option(default: object, help: str, aliases: tuple[str, ...] = ()) -> typing.Any:
    """A dataclass field with its meaning; `aliases` are old spellings of its name, which are still read everywhere."""
    return field(default=default, metadata={"help": help, "aliases": aliases})


def nested(default_factory: type, aliases: tuple[str, ...] = ()) -> typing.Any:
    """A dataclass field that is itself a dataclass of options."""
    return field(default_factory=default_factory, metadata={"aliases": aliases})


def require_at_least(options: object, least: dict[str, float]) -> None:
    """Raises TrainError, which names the option, for the first attribute below its least value."""
    for name, low in least.items():
        if getattr(options, name) < low:
            raise TrainError(f"--{name.replace('_', '-')} {getattr(options, name)}: expected {low} or more")


def add_options(
    parser: argparse.ArgumentParser, cls: type, prefix: str = "", prefix_aliases: tuple[str, ...] = ()
) -> None:
    """One `--name` per field (`_` becomes `-`); a field that is itself a dataclass gives `--field.name`s.

    What the command line does not name stays out of the parsed arguments. Aliases are accepted too, without a help of
    their own.
    """
    types = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        spellings = [item.name, *item.metadata.get("aliases", ())]
        names = [p + s.replace("_", "-") for p in (prefix, *prefix_aliases) for s in spellings]
        name, kind = names[0], types[item.name]
        if dataclasses.is_dataclass(kind):
            add_options(parser, kind, f"{name}.", tuple(f"{alias}." for alias in names[1:]))
            continue
        help_text = f"{item.metadata.get('help', '')} (default: {item.default})".strip()
        settings: dict[str, typing.Any] = {"default": argparse.SUPPRESS, "help": help_text.replace("%", "%%")}
        if kind is bool:
            settings["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind) is tuple:
            parts = typing.get_args(kind)
            settings |= {"type": parts[0], "nargs": len(parts)}
        else:
            settings["type"] = kind
        parser.add_argument(f"--{name}", **settings)
        for alias in names[1:]:
            parser.add_argument(
                f"--{alias}", dest=prefix.replace("-", "_") + item.name, **settings | {"help": argparse.SUPPRESS}
            )


def from_options(args: argparse.Namespace, cls: type, prefix: str = "", base: object | None = None) -> typing.Any:
    """The dataclass that the options describe; what they do not name is that of `base`, or the default."""
    types = typing.get_type_hints(cls)
    values = {}
    for item in dataclasses.fields(cls):
        name, kind = prefix + item.name, types[item.name]
        if dataclasses.is_dataclass(kind):
            values[item.name] = from_options(args, kind, f"{name}.", base and getattr(base, item.name))
        elif hasattr(args, name):
            value = getattr(args, name)
            values[item.name] = tuple(value) if isinstance(value, list) else value
        elif base is not None:
            values[item.name] = getattr(base, item.name)
    return cls(**values)


def from_dict(values: dict, cls: type, where: str = "options") -> typing.Any:
    """The dataclass back from `dataclasses.asdict` or YAML, nested ones too; what is not there gets its default.

    Raises:
        TrainError: naming `where`, for an option that there is none of, or a value of another type.
    """
    types = typing.get_type_hints(cls)
    names = {
        spelling: item.name
        for item in dataclasses.fields(cls)
        for spelling in (item.name, *item.metadata.get("aliases", ()))
    }
    if unknown := [name for name in values if name not in names]:
        raise TrainError(f"{where}: no option is called {unknown[0]}")
    return cls(
        **{names[name]: _converted(value, types[names[name]], f"{where}: {name}") for name, value in values.items()}
    )


def _converted(value: object, kind: typing.Any, where: str) -> object:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TrainError(f"{where} is {value!r}; expected options of its own")
        return from_dict(value, kind, where)
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if not isinstance(value, (list, tuple)) or len(value) != len(parts):
            raise TrainError(f"{where} is {value!r}; expected {len(parts)} values")
        return tuple(_converted(one, part, where) for one, part in zip(value, parts))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise TrainError(f"{where} is {value!r}; expected {_NAMES[kind]}")
    return value


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def to_yaml(config: object, indent: str = "") -> str:
    """YAML, each key with its type and meaning beside it; a dataclass within is a block of its own."""
    types = typing.get_type_hints(type(config))
    lines = []
    for item in dataclasses.fields(config):
        value, kind = getattr(config, item.name), types[item.name]
        if dataclasses.is_dataclass(kind):
            lines.append(f"{indent}{item.name}:\n{to_yaml(value, indent + '  ')}")
            continue
        plain = list(value) if isinstance(value, tuple) else value
        text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10**6)
        name = "numbers" if isinstance(value, tuple) else _NAMES[kind]
        text = text.removesuffix("\n...\n").rstrip("\n")
        lines.append(f"{indent}{item.name}: {text}  # {name}; {item.metadata['help']}\n")
    return "".join(lines)


def from_yaml(path: str | Path, cls: type) -> typing.Any:
    """The dataclass that `to_yaml` wrote. Raises TrainError that names the file, and the key where there is one."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise TrainError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise TrainError(f"{path}: expected options, NAME: VALUE")
    return from_dict(values, cls, str(path))
