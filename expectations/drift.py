"""Gate behind scoring: warns of inputs and scores with another distribution than in training.

The gate stops nothing: the scores may still be right, and are published.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from expectations.gate import Summary, run_gate
from expectations.results import WARNING
from expectations.rules import Check, no_rows
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

COLUMNS = ("question", "as_of_date", "kind", "column_name", "value", "threshold")
NAMED = 5


def gate_drift(settings: Settings, question: str, as_of_date: date, run_id: str) -> Summary:
    """Check the rows of ops.drift of one question and date, with the role scorer.

    Returns:
        A summary with at most one warning, which names the columns furthest above their threshold.
    """
    rows = sql.SQL(
        "select * from ops.drift where question = {question} and as_of_date = {as_of_date}"
    ).format(question=sql.Literal(question), as_of_date=sql.Literal(as_of_date))
    with connect(settings, "scorer") as connection:
        drifted = connection.execute(
            sql.SQL(
                "select column_name, value, threshold from ({rows}) as given"
                " where value > threshold order by threshold - value, column_name"
            ).format(rows=rows)
        ).fetchall()
    named = ", ".join(f"{name} {value:.2f} (limit {limit:.2f})"
                      for name, value, limit in drifted[:NAMED])  # fmt: skip
    rest = f" and {len(drifted) - NAMED} more" if len(drifted) > NAMED else ""
    rule = no_rows(
        "select 1 from {batch} where value > threshold",
        f"inputs and scores of {question} are distributed as in training"
        + (f", but {named}{rest}" if drifted else ""),
        severity=WARNING,
    )
    return run_gate(
        settings,
        "scorer",
        "drift",
        [Check("ops.drift", rows, COLUMNS, [rule])],
        as_of_date=as_of_date,
        run_id=run_id,
    )
