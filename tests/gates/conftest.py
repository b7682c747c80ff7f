"""A warehouse of its own for the gates, whose tables the tests fill by hand and then break."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perennial.settings import Settings
from perennial.warehouse import connect

Results = Callable[..., list[tuple]]


@pytest.fixture(scope="module")
def gate_home(start_home: Callable[..., Settings]) -> Settings:
    """A home of the flat invoice lines with nothing in it."""
    return start_home("online_retail")


@pytest.fixture
def results(gate_home: Settings) -> Results:
    """What ops.gate_results holds of a run: the columns asked for, in the order they came."""

    def read(run_id: str, *columns: str) -> list[tuple]:
        with connect(gate_home, "scorer") as connection:
            return connection.execute(
                f"select {', '.join(columns)} from ops.gate_results"
                " where run_id = %s order by gate_result_id",
                [run_id],
            ).fetchall()

    return read
