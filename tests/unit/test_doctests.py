"""Examples in docstrings of `ml_tasks` are run, so that none of them is out of date."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ml_tasks

ROOT = Path(ml_tasks.__path__[0])
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text()
]
LEAST_FUNCTIONS = 10


def examples_of(module_name: str) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(importlib.import_module(module_name))
    return [test for test in found if test.examples]


@pytest.mark.parametrize("module_name", MODULES)
def test_the_examples_of_a_module_give_what_they_show(module_name: str) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples_of(module_name):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
    assert runner.tries


def test_the_most_used_functions_have_examples() -> None:
    tests = [test.name for name in MODULES for test in examples_of(name)]
    assert len(tests) >= LEAST_FUNCTIONS
