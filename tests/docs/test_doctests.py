"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import core

MODULES = [info.name for info in pkgutil.walk_packages(core.__path__, "core.") if info.name != "core.__main__"]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    failures: list[str] = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(example, out=failures.append)
    assert failures == []


def test_examples_are_found_in_kernels_and_classes_too() -> None:
    found = {
        example.name
        for name in ("core.indicators.swings", "core.setups.fibo_avwap", "core.clock")
        for example in doctest.DocTestFinder().find(importlib.import_module(name))
        if example.examples
    }
    assert {"core.indicators.swings.swing_pivots", "core.setups.fibo_avwap.FiboAvwap", "core.clock.parse_time"} <= found
