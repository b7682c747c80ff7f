"""A separate warehouse for the gates; the tests fill its tables by hand and then break them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perennial.settings import Settings
from perennial.warehouse import connect

Results = Callable[..., list[tuple]]


@pytest.fixture(scope="module")
def gate_home(start_home: Callable[..., Settings]) -> Settings:
    """An empty home of the flat invoice lines."""
    return start_home("online_retail")


@pytest.fixture
def results(gate_home: Settings) -> Results:
    """A run's rows in ops.gate_results: the requested columns, in order of insertion."""

    def read(run_id: str, *columns: str) -> list[tuple]:
        with connect(gate_home, "scorer") as connection:
            return connection.execute(
                f"select {', '.join(columns)} from ops.gate_results"
                " where run_id = %s order by gate_result_id",
                [run_id],
            ).fetchall()

    return read
