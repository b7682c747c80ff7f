"""How past predictions of the next order turned out, once 90 days have passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from psycopg import sql

from ml_tasks.evaluation.bias import FIGURE, bias_of_rate
from ml_tasks.features.store import FeatureStore
from ml_tasks.lookback import happened
from ml_tasks.next_order import figures as of

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due

DATES = {
    "p50": "next_order_date",
    "lower": "next_order_date_lower",
    "upper": "next_order_date_upper",
}


def customers(connection: psycopg.Connection[Any], due: Due) -> pd.DataFrame:
    """Scored customers, their predicted days, and the sales of their next order day.

    Args:
        connection: Role scorer.
        due: The past date and horizon.

    Returns:
        Columns of `happened.customers`; days_p50, days_lower and days_upper; order_day_amount, NaN
        without an order within the horizon.
    """
    day_number = sql.SQL("{date} - as_of_date as {days}")
    days = sql.SQL(", ").join(
        day_number.format(date=sql.Identifier(name), days=sql.Identifier(f"days_{which}"))
        for which, name in DATES.items()
    )
    query = sql.SQL(
        "select scores.customer_id, {days}, next_days.gross_spend_amount as order_day_amount"
        " from {scores} as scores left join lateral (select days.gross_spend_amount"
        "  from intermediate.int_customer_days as days"
        "  where days.customer_id = scores.customer_id and days.count_orders > 0"
        "  and days.day_date >= %(scored_date)s and days.day_date < %(known_on_date)s"
        "  order by days.day_date limit 1) as next_days on true"
        " where scores.as_of_date = %(scored_date)s"
        " and scores.publication_id = %(publication_id)s and scores.score_status = 'scored'"
        ' order by scores.customer_id collate "C"'
    ).format(days=days, scores=happened.score_table(due.question))
    predicted = FeatureStore(connection).read(query, happened.params(due))
    return happened.customers(connection, due).merge(predicted, on="customer_id")


def figures(rows: pd.DataFrame) -> dict[str, float]:
    """Figures of those who ordered; the bias is that of the chance of an order.

    Args:
        rows: Columns of `customers`.
    """
    if rows.empty:
        return {}
    ordered = rows[rows["happened_days"].notna()]
    predicted = ordered.rename(
        columns=lambda name: str(name).replace("next_order_amount", "amount")
    )
    found = of.of_wait(ordered["happened_days"].to_numpy(dtype=float) - 1, ordered)
    found |= of.of_amount(ordered["order_day_amount"].to_numpy(dtype=float), predicted)
    chance = rows["order_probability_90d"].dropna()
    if len(chance) == len(rows):
        found[FIGURE] = bias_of_rate(float(chance.mean()), len(ordered) / len(rows))
    return found
