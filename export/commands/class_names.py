"""The class names of a classifier, from a text file."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ExportError

_WORDNET_ID = re.compile(r"n\d{8}\s+")


def read_class_names(path: str | Path, count: int) -> tuple[str, ...]:
    """A name a line in the order of the classes; where every line begins with a WordNet id ("n01443537 goldfish"),
    as in lists of ImageNet, the ids are left out. Empty lines do not count.

    Raises:
        ExportError: the file cannot be read, or does not hold `count` names.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path}: cannot read the class names: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: not a text file: {error}") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != count:
        raise ExportError(f"{path}: {len(lines)} class names; the weights are for {count} classes")
    if all(_WORDNET_ID.match(line) for line in lines):
        lines = [_WORDNET_ID.sub("", line, count=1) for line in lines]
    return tuple(lines)
