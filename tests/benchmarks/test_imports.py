"""Every benchmark can start: a change of what it uses shows here, not on the day it is needed."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import benchmarks

MODULES = sorted(module.name for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks."))


def test_there_are_benchmarks():
    assert len(MODULES) > 15


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name: str):
    importlib.import_module(name)
