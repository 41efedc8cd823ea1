"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """
    >>> print(markdown_table(["net", "MB"], [["sqdet", 4.75]]))
    | net | MB |
    |---|---|
    | sqdet | 4.75 |
    """
    lines = [_line(header), "|" + "---|" * len(header)]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
