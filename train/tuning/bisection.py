"""Bisection for the highest point of a function that rises to one peak and then falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DIGITS = 4  # significant, of a fractional value: it is what a person would type, and exactly what is measured


@dataclass(frozen=True)
class Scale:
    """Where the middle between two values is."""

    linear: bool = False  # else logarithmic, for values above 0
    whole: bool = False  # of int values, with int middles

    def middle(self, a: float, b: float) -> float:
        """Rounded; a whole one is not a unless b is, and not b if there is another in between."""
        value = (a + b) / 2 if self.linear else math.sqrt(a * b)
        if self.whole:
            return b if abs(a - b) < 2 else min(max(round(value), min(a, b) + 1), max(a, b) - 1)
        return float(f"{value:.{DIGITS}g}")


def find_peak(
    measure: Callable[[float], float], low: float, high: float, trials: int, scale: Scale
) -> dict[float, float]:
    """Interval halving (S. S. Rao, Engineering Optimization, 4th ed., section 5.6), from the outside to the peak.

    The middle of [low, high] is measured, then the middles of its two halves. The best of the three becomes the new
    middle, and the interval ends where its neighbours are: half as wide. A half whose middle is better than the
    interval's holds the peak, so the other is then not measured. The ends are not measured either.

    On the scale, 1 + 2k trials leave an interval of at most 2^-k of the first, 2 + k where the function only rises or
    falls. (Golden section, Kiefer 1953, leaves 0.618^(n-1) after n. But neighbours that close differ by less than the
    noise of a short training run, and no value it asks for is a round one.)

    Equal values keep the middle as it is. What is measured once is not measured again.

    Returns:
        {value: what it measured}, in the order of the trials, at most `trials` of them; fewer where rounding leaves no
        new value. Whatever the function, the best of all is the middle of the last interval.
    """
    measured: dict[float, float] = {}
    for value in _next_values(low, high, scale, measured):
        if len(measured) == trials:
            break
        measured[value] = measure(value)
    return measured


def best_value(measured: dict[float, float]) -> float:
    """The first of the best."""
    return max(measured, key=measured.get)


def bracket(measured: dict[float, float], low: float, high: float) -> tuple[float, float]:
    """The neighbours of the best value, or the ends: between them is the peak, if there is one only."""
    best = best_value(measured)
    below = max((value for value in measured if value < best), default=low)
    return below, min((value for value in measured if value > best), default=high)


def _next_values(low: float, high: float, scale: Scale, measured: dict[float, float]) -> Iterator[float]:
    """Values to measure; each must stand in `measured` before the next is asked for."""
    middle = scale.middle(low, high)
    yield middle
    before = None
    while before != (low, middle, high):
        before = low, middle, high
        # First towards the better neighbour, where the peak is likelier; an end, not measured, may be better than any.
        for end in sorted((low, high), key=lambda end: -measured.get(end, math.inf)):
            quarter = scale.middle(middle, end)
            if quarter not in measured:
                yield quarter
            if measured[quarter] > measured[middle]:
                (low, high), middle = sorted((middle, end)), quarter
                break
        else:
            low, high = scale.middle(middle, low), scale.middle(middle, high)
