"""Results of a gate's rules, as stored in ops.gate_results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import psycopg

# A failed critical rule stops the run; a failed warning lets the run pass.
Severity = Literal["critical", "warning"]
CRITICAL: Final = "critical"
WARNING: Final = "warning"


class GateFailed(Exception):
    """Rules stopped the run. The message names each of them, its table and the count of rows."""


@dataclass(frozen=True)
class Result:
    """Result of one rule, with the columns of ops.gate_results."""

    table_name: str
    expectation: str
    column_name: str | None
    severity: str
    success: bool
    observed: str | None
    element_count: int | None
    unexpected_count: int | None
    is_error: bool

    @property
    def stops(self) -> bool:
        """True if nothing after the gate may start."""
        return self.is_error or (not self.success and self.severity == CRITICAL)

    def __str__(self) -> str:
        where = f"{self.table_name}.{self.column_name}" if self.column_name else self.table_name
        found = "could not be evaluated" if self.is_error else "found"
        return f"[{self.severity}] {where}: {self.expectation}; {found}: {self.observed}"


def record(
    connection: psycopg.Connection[Any], results: Sequence[Result], run: dict[str, Any]
) -> None:
    """Write the results of a gate to ops.gate_results.

    Args:
        connection: Connection that may write ops.gate_results.
        results: Results of all rules.
        run: run_id, gate, as_of_date and publication_id, added to each row.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_results (run_id, gate, as_of_date, publication_id, table_name,"
            " expectation, column_name, severity, success, observed, element_count,"
            " unexpected_count)"
            " values (%(run_id)s, %(gate)s, %(as_of_date)s, %(publication_id)s, %(table_name)s,"
            " %(expectation)s, %(column_name)s, %(severity)s, %(success)s, %(observed)s,"
            " %(element_count)s, %(unexpected_count)s)",
            [run | vars(result) for result in results],
        )
