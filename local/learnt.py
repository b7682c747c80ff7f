"""What was learnt about the shop: up to five sentences, each figure out of a reporting view.

A sentence whose view or column a shop does not have is left out: a question may not be offered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from perennial import contracts, shop
from perennial.roles import CHECKER
from perennial.settings import Settings
from perennial.warehouse import connect

BEST_SHARE_PERCENT = 10


@dataclass(frozen=True)
class Sentence:
    """One query on a reporting view, and what its row says.

    Attributes:
        view: Name in the schema reporting.
        columns: Of the view, which the query reads.
        query: One row of aggregates.
        words: The sentence, from the row and the shop's currency; empty: there is nothing to say.
    """

    view: str
    columns: frozenset[str]
    query: str
    words: Callable[[tuple[Any, ...], str], str]


def _known(row: tuple[Any, ...], _: str) -> str:
    day, known, recent, repeated = row
    if not known:
        return ""
    return (
        f"On {day} the shop knows {known:,} customers: {recent:,} ordered in the last 90 days, "
        f"{repeated:,} more than once."
    )


def _at_risk(row: tuple[Any, ...], currency: str) -> str:
    scored, high, theirs, all_spend = row
    if not scored:
        return ""
    money = f", {_share(theirs, all_spend)} of all" if all_spend else ""
    return (
        f"{high:,} customers ({_share(high, scored)}) are at high risk of no order in 90 days; "
        f"they spent {theirs or 0:,.0f} {currency} in the last 365 days{money}."
    )


def _best(row: tuple[Any, ...], currency: str) -> str:
    best, total = row
    if not total:
        return ""
    return (
        f"{total:,.0f} {currency} are expected in the next 365 days; "
        f"{_share(best, total)} of it from the best {BEST_SHARE_PERCENT} % of customers."
    )


def _demand(row: tuple[Any, ...], _: str) -> str:
    units, products, weeks = row
    if not products:
        return ""
    return (
        f"{units:,.0f} units of {products:,} products are expected to be sold in the next "
        f"{weeks} weeks."
    )


SENTENCES = (
    Sentence(
        "customer_360",
        frozenset({"as_of_date", "days_since_last_order", "count_orders"}),
        "select max(as_of_date), count(*), count(*) filter (where days_since_last_order <= 90),"
        " count(*) filter (where count_orders > 1) from reporting.customer_360",
        _known,
    ),
    Sentence(
        "customer_360",
        frozenset({"churn_probability_90d", "churn_risk_band", "net_spend_amount_365d"}),
        "select count(churn_probability_90d), count(*) filter (where churn_risk_band = 'high'),"
        " sum(net_spend_amount_365d) filter (where churn_risk_band = 'high'),"
        " sum(net_spend_amount_365d) from reporting.customer_360",
        _at_risk,
    ),
    Sentence(
        "clv",
        frozenset({"predicted_spend_amount_365d"}),
        "select sum(amount) filter (where place * 100 <= known * %(best)s), sum(amount) from ("
        "select predicted_spend_amount_365d as amount, count(*) over () as known, row_number()"
        " over (order by predicted_spend_amount_365d desc) as place from reporting.clv"
        " where predicted_spend_amount_365d is not null) as ranked",
        _best,
    ),
    Sentence(
        "demand",
        frozenset({"demand_units_mean", "product_id", "horizon_weeks", "score_status"}),
        "select sum(demand_units_mean), count(distinct product_id), max(horizon_weeks)"
        " from reporting.demand where score_status = 'scored'",
        _demand,
    ),
)


def learnt(settings: Settings) -> list[str]:
    """Sentences about the newest published scores, at most five."""
    currency = shop.own(settings).currency
    with connect(settings, CHECKER) as connection:
        there = _columns(connection)
        lines = [
            sentence.words(_row(connection, sentence.query), currency)
            for sentence in SENTENCES
            if sentence.columns <= there.get(sentence.view, frozenset())
        ]
        return [line for line in (*lines, _not_scored(connection, there)) if line]


def _columns(connection: psycopg.Connection[Any]) -> dict[str, frozenset[str]]:
    """Columns of each reporting view that the reader may see."""
    rows = connection.execute(
        "select table_name, array_agg(column_name::text) from information_schema.columns"
        " where table_schema = 'reporting' group by table_name"
    )
    return {view: frozenset(columns) for view, columns in rows}


def _row(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query, {"best": BEST_SHARE_PERCENT}).fetchone()
    assert row is not None  # an aggregate always has one row
    return row


def _not_scored(connection: psycopg.Connection[Any], there: dict[str, frozenset[str]]) -> str:
    """Whom which question could not score, and the reason that most of them have."""
    parts, is_any = [], False
    for question in contracts.questions():
        table = contracts.load(question).tables[0]
        key = table.key[0]
        if not {key, *contracts.STATUS_COLUMNS} <= there.get(table.name, frozenset()):
            continue
        is_any = True
        row = connection.execute(
            sql.SQL(
                "select count(distinct {key}) filter (where score_status <> 'scored'),"
                " count(distinct {key}), mode() within group (order by score_reason)"
                " filter (where score_status <> 'scored') from reporting.{view}"
            ).format(key=sql.Identifier(key), view=sql.Identifier(table.name))
        ).fetchone()
        assert row is not None
        count, of_all, reason = row
        if count:
            things = f"{key.removesuffix('_id')}s"
            parts.append(f"{question} {count:,} of {of_all:,} {things} ({reason})")
    if parts:
        return f"Not scored, with the most frequent reason: {'; '.join(parts)}."
    return "Every customer and product has all its scores." if is_any else ""


def _share(part: Any, whole: Any) -> str:
    return f"{100 * float(part or 0) / float(whole):.0f} %"
