"""Checks of the values in a spec: each gives the value in its one form, or raises a SpecError that names it."""

from __future__ import annotations

import math
from typing import Any

from ..errors import SpecError
from ..util.opencv_text import is_unicode

MAX_PIXELS = 1 << 24


def require(condition: bool, name: str, value: Any, expected: str) -> None:
    """Raises SpecError unless the condition holds."""
    if not condition:
        raise SpecError(f"model spec: {name} is {value!r}, expected {expected}")


def class_names(value: Any, name: str) -> tuple[str, ...]:
    """A list of names, at least one, none empty."""
    is_list = isinstance(value, list | tuple)
    require(is_list and len(value) > 0, name, value, "a list of at least one class name")
    require(all(isinstance(label, str) and label.strip() for label in value), name, value, "names, none empty")
    require(all(is_unicode(label) for label in value), name, value, "names of Unicode letters")
    return tuple(value)


def boolean(value: Any, name: str) -> bool:
    """True or False, and nothing that only counts as one."""
    require(isinstance(value, bool), name, value, "true or false")
    return value


def positive_ints(value: Any, name: str) -> tuple[int, int]:
    """Two whole numbers above 0, such as a width and a height."""
    try:
        first, second = value
        pair = int(first), int(second)
        valid = min(pair) > 0 and pair == (first, second)
    except (TypeError, ValueError, OverflowError):
        valid = False
    require(valid, name, value, "two positive integers")
    return pair


def input_size(value: Any, name: str) -> tuple[int, int]:
    """(width, height) in pixels, whose input and first layers fit into a few GB."""
    width, height = positive_ints(value, name)
    require(width * height <= MAX_PIXELS, name, value, f"at most {MAX_PIXELS} pixels in all, such as 4096 x 4096")
    return width, height


def floats(value: Any, count: int, name: str) -> tuple[float, ...]:
    """`count` finite numbers."""
    try:
        numbers = tuple(float(item) for item in value)
        is_text = any(isinstance(item, str) for item in value)
        valid = len(numbers) == count and all(math.isfinite(item) for item in numbers) and not is_text
    except (TypeError, ValueError, OverflowError):
        valid = False
    require(valid, name, value, f"{count} finite number{'s' if count > 1 else ''}")
    return numbers


def scale_factor(value: Any, name: str) -> float:
    """A finite number other than 0."""
    (number,) = floats((value,), 1, name)
    require(number != 0, name, value, "a number other than 0")
    return number
