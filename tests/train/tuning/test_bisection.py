"""The search against functions whose peak is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.tuning.bisection import Scale, best_value, bracket, find_peak

LOG, LINEAR = Scale(), Scale(linear=True)
ROUNDING = 2e-3  # two ends of an interval, each to four digits, in natural logarithms or as a share


def tent(peak: float, left: float, right: float, scale: Scale) -> Callable[[float], float]:
    """Rises to `peak` and falls, with powers of the distance that differ on the two sides."""

    def height(value: float) -> float:
        distance = value - peak if scale.linear else math.log(value / peak)
        return -(abs(distance) ** (left if distance < 0 else right))

    return height


def width(low: float, high: float, scale: Scale) -> float:
    return high - low if scale.linear else math.log(high / low)


ENDS = st.tuples(st.floats(1e-5, 1e4), st.floats(3, 1e5)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@pytest.mark.parametrize("scale", [LOG, LINEAR], ids=["log", "linear"])
@given(
    ends=ENDS, share=st.floats(0, 1), powers=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)), halvings=st.integers(0, 6)
)
def test_the_peak_is_in_the_promised_interval(scale: Scale, ends, share: float, powers, halvings: int):
    low, high = ends
    peak = low + share * (high - low) if scale.linear else low * (high / low) ** share
    measured = find_peak(tent(peak, *powers, scale), low, high, 1 + 2 * halvings, scale)
    below, above = bracket(measured, low, high)
    assert below <= peak <= above
    slack = ROUNDING * (high if scale.linear else 1)
    assert width(below, above, scale) <= width(low, high, scale) / 2**halvings + slack
    assert all(low * 0.999 <= value <= high * 1.001 for value in measured)


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=25), trials=st.integers(1, 25))
def test_whatever_the_function_the_best_is_in_the_middle_and_nothing_is_measured_twice(heights, trials: int):
    asked = []

    def measure(value: float) -> float:
        asked.append(value)
        return heights[hash(value) % len(heights)]

    measured = find_peak(measure, 1, 1000, trials, LOG)
    assert asked == list(measured)
    assert len(set(asked)) == len(asked) <= trials
    assert measured[best_value(measured)] == max(measured.values())


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("lean", [0, 0.3, -0.3], ids=["equal neighbours", "better below", "better above"])
def test_whole_numbers_are_found_exactly_by_brute_force(linear: bool, lean: float):
    """Every interval of up to 24 whole numbers and every peak in it; its ends, too."""
    scale = Scale(linear, whole=True)
    for low, high in itertools.combinations(range(1, 25), 2):
        for peak in range(low, high + 1):
            heights = {value: -abs(value - peak) - lean * (value > peak) for value in range(low, high + 1)}
            measure = Mock(side_effect=heights.__getitem__)
            measured = find_peak(measure, low, high, 100, scale)
            assert measure.call_count == len(measured), "each at most once"
            assert best_value(measured) == max(heights, key=heights.get) == peak
            assert all(isinstance(value, int) for value in measured)


def test_the_values_are_those_of_a_person():
    """Two decades: their middle, and halves of factors to four digits."""
    assert list(find_peak(lambda value: -abs(math.log(value / 900)), 100, 10000, 5, LOG)) == [
        1000,
        316.2,
        3162,
        562.3,
        1778,
    ]
    assert list(find_peak(lambda value: -abs(value - 0.3), 0, 1, 4, LINEAR)) == [0.5, 0.25, 0.125, 0.375]


@pytest.mark.parametrize(("sign", "end"), [(1, 10000.0), (-1, 100.0)], ids=["rising", "falling"])
def test_a_function_without_a_peak_leads_to_its_end(sign: int, end: float):
    for halvings in range(1, 8):
        measured = find_peak(lambda value: sign * value, 100, 10000, 2 + halvings, LOG)
        assert end in bracket(measured, 100, 10000)
        assert width(*bracket(measured, 100, 10000), LOG) <= math.log(100) / 2**halvings + ROUNDING
        assert best_value(measured) == (max(measured) if sign > 0 else min(measured))


def test_a_constant_keeps_the_middle():
    measured = find_peak(lambda value: 0.5, 100, 10000, 9, LOG)
    assert best_value(measured) == 1000
    assert width(*bracket(measured, 100, 10000), LOG) == pytest.approx(math.log(100) / 2**4, abs=ROUNDING)


@given(start=st.floats(0, 0.8))
def test_a_flat_top_as_wide_as_the_interval_left_is_found(start: float):
    """0.2 of the interval at the top, and 7 trials, which leave an eighth."""
    measured = find_peak(lambda x: min(0.0, x - start, start + 0.2 - x), 0, 1, 7, LINEAR)
    assert start <= best_value(measured) <= start + 0.2


def test_values_that_fail_point_to_the_others():
    """A learning rate too high diverges, which counts as 0."""
    measured = find_peak(lambda lr: 0.0 if lr > 0.02 else lr, 1e-4, 10, 9, LOG)
    assert 0.005 < best_value(measured) <= 0.02


def test_noise_costs_little():
    """A parabola over two decades, noise of a twentieth of its fall to the ends: 200 searches, none far off."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        measured = find_peak(lambda value: -(math.log10(value / 1500) ** 2) + rng.normal(0, 0.05), 100, 10000, 7, LOG)
        assert measured[best_value(measured)] == max(measured.values())
        found.append(abs(math.log10(best_value(measured) / 1500)))
    assert np.mean(found) < 0.2
    assert np.max(found) < 0.7


def test_the_search_ends_where_rounding_leaves_no_new_value():
    assert len(find_peak(lambda value: value, 1, 1.01, 1000, LOG)) < 20
    assert len(find_peak(lambda value: -value, 1, 10, 1000, Scale(whole=True))) <= 10


@pytest.mark.parametrize("trials", range(1, 8))
def test_fewer_trials_are_the_first_of_more(trials: int):
    """So a search may go on, with what was measured before."""
    height = tent(700, 1, 2, LOG)
    assert list(find_peak(height, 100, 10000, trials, LOG)) == list(find_peak(height, 100, 10000, 9, LOG))[:trials]
