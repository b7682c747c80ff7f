"""Seconds by folder of tests, printed when they have ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest


def by_folder(reports: Iterable[pytest.TestReport]) -> list[tuple[str, int, float]]:
    """Folder, number of tests, seconds of their fixtures and calls; the slowest folder first."""
    tests: dict[str, set[str]] = defaultdict(set)
    seconds: dict[str, float] = defaultdict(float)
    for report in reports:
        folder = report.nodeid.split("::")[0].rpartition("/")[0]
        tests[folder].add(report.nodeid)
        seconds[folder] += report.duration
    rows = [(folder, len(tests[folder]), seconds[folder]) for folder in tests]
    return sorted(rows, key=lambda row: -row[2])


def table(rows: list[tuple[str, int, float]]) -> list[str]:
    """The same as lines. Seconds of processes side by side are added up."""
    named = [*rows, ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))]
    return [f"{folder:<24} {count:>6,} tests {spent:>8,.0f} s" for folder, count, spent in named]
