"""Each fault test's end goes to the ledger, too: results.md names what failed or was skipped."""

from __future__ import annotations

import pytest

from tests.faults import ledger


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: too long for `make test`; only `make test-faults`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if ledger.is_whole():
        return
    for item in items:
        if item.get_closest_marker("whole"):
            item.add_marker(pytest.mark.skip(reason="only in `make test-faults`"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # called where the test ran and, with xdist, once more by who collects the reports
    if hasattr(report, "node") or (report.when != "call" and report.passed):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    ledger.write(
        part=ledger.part_of(report.nodeid),
        kind="outcome",
        test=report.nodeid.split("::", 1)[1],
        outcome=report.outcome,
        seconds=round(report.duration, 1),
        why="" if report.passed else reason.strip().splitlines()[-1] if reason.strip() else "",
    )
