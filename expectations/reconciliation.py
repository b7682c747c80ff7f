"""Reconcile a build: rows, orders and money of all accepted files are in the marts or the rejects.

Sent rows and money are counted independently of staging: rows as landing counted them, money by a
lenient sum over raw. Rows or money in neither place are a bug in a model, whatever the data, and
stop the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.reject_reasons import sent_again_pattern
from expectations.results import CRITICAL, GateFailed, Result, record
from perennial.text import plain
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

QUERY = Path(__file__).with_suffix(".sql")
CENT = Decimal("0.005")  # tolerance: staging may round a price with many decimals
REJECTED = "rejected"
LONGEST_REASON = 60  # characters, in the printed table


@dataclass(frozen=True)
class Flow:
    """Rows, orders and money that went to one place.

    Attributes:
        place: in raw, customers, guests, refunds, charges, rejected or not accounted for.
        reason: Reason of a reject; empty at the other places.
        count_rows: Rows of orders and of their lines.
        count_orders: Orders and refunds; each counts at one place.
        amount: Money of the lines without sign, shop currency; an estimate for rejected lines
            that staging cannot read.
    """

    place: str
    reason: str
    count_rows: int
    count_orders: int
    amount: Decimal


def reconciliation(settings: Settings) -> list[Flow]:
    """Read where rows, orders and money are after the last dbt build; write nothing.

    Returns:
        First the flow in raw, then the places it went to, last what is in none of these places.
    """
    with connect(settings, "transformer") as connection:
        rows = connection.execute(QUERY.read_text(), {"sent_again": sent_again_pattern()})
        return [Flow(*row) for row in rows]


def kept_flows(settings: Settings, as_of_date: date) -> list[Flow]:
    """The stored flows of the newest build of a date; empty if no build was reconciled."""
    with connect(settings, "transformer") as connection:
        rows = connection.execute(_KEPT, {"as_of_date": as_of_date})
        return [Flow(*row) for row in rows]


# Ordered by place, then by money.
_KEPT = """
    select place, reason, count_rows, count_orders, amount
    from ops.reconciliations
    where as_of_date = %(as_of_date)s and run_id = (
        select run_id from ops.reconciliations where as_of_date = %(as_of_date)s
        order by reconciled_at desc, run_id limit 1
    )
    order by
        array_position(
            array['in raw', 'customers', 'guests', 'refunds', 'charges', 'rejected'], place
        ) nulls last,
        amount desc, count_rows desc, reason
"""


def reconcile(settings: Settings, as_of_date: date, run_id: str) -> list[Flow]:
    """Store the flows in ops.reconciliations, and check that nothing is unaccounted for.

    Raises:
        GateFailed: If rows, orders or money are in no place; the message contains the figures.
    """
    flows = reconciliation(settings)
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.reconciliations where as_of_date = %s and run_id = %s",
            [as_of_date, run_id],
        )
        cursor.executemany(
            "insert into ops.reconciliations (as_of_date, run_id, place, reason, count_rows,"
            " count_orders, amount) values (%s, %s, %s, %s, %s, %s, %s)",
            [(as_of_date, run_id, *vars(flow).values()) for flow in flows],
        )
    residual = flows[-1]
    is_whole = not (residual.count_rows or residual.count_orders or abs(residual.amount) >= CENT)
    rule = "rows, orders and money in raw = customers + guests + refunds + charges + rejected"
    observed = (
        f"{residual.count_rows:,} rows, {residual.count_orders:,} orders and {residual.amount:,.2f}"
        f" of {flows[0].amount:,.2f} are in neither"
    )
    result = Result(
        table_name="intermediate.int_sent_rows",
        expectation=rule,
        column_name=None,
        severity=CRITICAL,
        success=is_whole,
        observed=observed,
        element_count=flows[0].count_rows,
        unexpected_count=abs(residual.count_rows),
        is_error=False,
    )
    with connect(settings, "scorer") as connection:  # the role that may write results
        where = {"run_id": run_id, "gate": "rejects", "as_of_date": as_of_date}
        record(connection, [result], where | {"publication_id": None})
    if not is_whole:
        raise GateFailed(
            f"the build does not add up: {observed} the marts nor the rejects; staging or a mart "
            "drops or doubles rows: correct the model that changed last (see ops.reconciliations)"
        )
    return flows


def as_table(flows: Sequence[Flow]) -> list[str]:
    """The flows as lines of text: a header, then a line per place."""
    rows = [("", "rows", "orders", "money")]
    for flow in flows:
        reason = plain(flow.reason)
        if len(reason) > LONGEST_REASON:
            reason = f"{reason[:LONGEST_REASON]}..."
        place = f"rejected: {reason}" if flow.place == REJECTED else flow.place
        figures = f"{flow.count_rows:,}", f"{flow.count_orders:,}", f"{flow.amount:,.2f}"
        rows.append((place, *figures))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{row[column]:>{widths[column]}}" for column in (1, 2, 3))
        for row in rows
    ]
