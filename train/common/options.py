"""Options from a dataclass: one place for their name, type, default and meaning, for command line and YAML alike."""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from dataclasses import field
from pathlib import Path

import yaml

from .errors import TrainError


def option(default: object, help: str, aliases: tuple[str, ...] = (), unset: tuple[object, ...] = ()) -> typing.Any:
    """A dataclass field with its meaning.

    Args:
        default: None for an option that need not be given; its type is then `TYPE | None`.
        aliases: old spellings of its name; the command line and files may still use them.
        unset: values that command lines and files once wrote for an option that is not given; they are read as None.
    """
    return field(default=default, metadata={"help": help, "aliases": aliases, "unset": unset})


def nested(default_factory: type, aliases: tuple[str, ...] = ()) -> typing.Any:
    """A dataclass field that is itself a dataclass of options."""
    return field(default_factory=default_factory, metadata={"aliases": aliases})


def require_at_least(options: object, least: dict[str, float]) -> None:
    """Raises TrainError, which names the option, for the first attribute below its least value. None is no value."""
    for name, low in least.items():
        value = getattr(options, name)
        if value is not None and value < low:
            raise TrainError(f"--{name.replace('_', '-')} {value}: expected {low} or more")


def plain_type(kind: typing.Any) -> typing.Any:
    """`float` for `float | None`; any other type as it is."""
    if isinstance(kind, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return kind


def current_name(cls: type, name: str) -> str:
    """The name of an option with old spellings replaced, also in a nested one: "ours.box" to "sqdet.box". A name that
    is no option stays as it is."""
    first, dot, rest = name.partition(".")
    kinds = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if first in (item.name, *item.metadata.get("aliases", ())):
            return item.name + dot + (current_name(kinds[item.name], rest) if dot else "")
    return name


def add_options(
    parser: argparse.ArgumentParser, cls: type, prefix: str = "", prefix_aliases: tuple[str, ...] = ()
) -> None:
    """One `--name` per field (`_` becomes `-`); a field that is itself a dataclass gives `--field.name`s.

    Options that are not given stay out of the parsed arguments. Aliases are accepted, but do not appear in the help.
    """
    kinds = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        spellings = [item.name, *item.metadata.get("aliases", ())]
        names = [p + s.replace("_", "-") for p in (prefix, *prefix_aliases) for s in spellings]
        name, kind = names[0], plain_type(kinds[item.name])
        if dataclasses.is_dataclass(kind):
            add_options(parser, kind, f"{name}.", tuple(f"{alias}." for alias in names[1:]))
            continue
        default = "" if item.default is None else f" (default: {item.default})"
        help_text = f"{item.metadata.get('help', '')}{default}".strip()
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
    """The dataclass that the options describe; those that are not given are as in `base`, or have their default."""
    kinds = typing.get_type_hints(cls)
    values = {}
    for item in dataclasses.fields(cls):
        name, kind = prefix + item.name, kinds[item.name]
        if dataclasses.is_dataclass(kind):
            values[item.name] = from_options(args, kind, f"{name}.", base and getattr(base, item.name))
        elif hasattr(args, name):
            value = getattr(args, name)
            values[item.name] = _without_old_unset(item, tuple(value) if isinstance(value, list) else value)
        elif base is not None:
            values[item.name] = getattr(base, item.name)
    return cls(**values)


def from_dict(values: dict, cls: type, where: str = "options") -> typing.Any:
    """The dataclass that `dataclasses.asdict` or YAML describes, nested ones too; missing options get their default.

    A class may name options that it no longer has in REMOVED, {name: the value that changed nothing}.

    Raises:
        TrainError: naming `where`, for an unknown option, one of REMOVED with another value, or a value of the wrong
            type.
    """
    kinds = typing.get_type_hints(cls)
    fields = {
        spelling: item
        for item in dataclasses.fields(cls)
        for spelling in (item.name, *item.metadata.get("aliases", ()))
    }
    removed = getattr(cls, "REMOVED", {})
    unchanged = [name for name in removed if values.get(name) in (None, removed[name])]
    values = {name: value for name, value in values.items() if name not in unchanged}
    if unknown := [name for name in values if name not in fields]:
        gone = " any more" if unknown[0] in removed else ""
        raise TrainError(f"{where}: no option is called {unknown[0]}{gone}")
    converted = {}
    for name, value in values.items():
        item = fields[name]
        converted[item.name] = _converted(_without_old_unset(item, value), kinds[item.name], f"{where}: {name}")
    return cls(**converted)


def _without_old_unset(item: dataclasses.Field, value: object) -> object:
    return None if value in item.metadata.get("unset", ()) else value


def _converted(value: object, kind: typing.Any, where: str) -> object:
    optional, kind = kind != plain_type(kind), plain_type(kind)
    if optional and value is None:
        return None
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
    kinds = typing.get_type_hints(type(config))
    lines = []
    for item in dataclasses.fields(config):
        value, kind = getattr(config, item.name), kinds[item.name]
        if dataclasses.is_dataclass(kind):
            lines.append(f"{indent}{item.name}:\n{to_yaml(value, indent + '  ')}")
            continue
        plain = list(value) if isinstance(value, tuple) else value
        text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10**6)
        name = "numbers" if isinstance(value, tuple) else _NAMES[plain_type(kind)]
        if kind != plain_type(kind):
            name += ", or null"
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
