"""Gate behind the lookback: warns where past scores were worse than in their model's backtest.

The gate stops nothing: the scores were published long ago.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations.gate import Summary, run_gate
from expectations.results import WARNING
from expectations.rules import Check, Rule, no_rows
from perennial import contracts
from perennial.contracts import LOOKBACK
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings


def gate_lookback(
    settings: Settings, as_of_date: date, publication_id: int, run_id: str
) -> Summary:
    """Check the rows of one publication of the lookback, with the role scorer.

    Returns:
        A summary; its `warnings` name question, figure, scored date, value and limit.
    """
    table = contracts.load(LOOKBACK).table(LOOKBACK)
    rows = sql.SQL(
        "select * from {table} where as_of_date = {as_of_date}"
        " and publication_id = {publication_id}"
    ).format(
        table=table.relation,
        as_of_date=sql.Literal(as_of_date),
        publication_id=sql.Literal(publication_id),
    )
    with connect(settings, "scorer") as connection:
        expectations = suite(connection, rows)
    check = Check("scores.lookback", rows, table.column_names, expectations, may_be_empty=True)
    return run_gate(
        settings,
        "scorer",
        "lookback",
        [check],
        as_of_date=as_of_date,
        run_id=run_id,
        publication_id=publication_id,
    )


def suite(connection: psycopg.Connection[Any], rows: sql.Composed) -> list[Rule]:
    """Rules for the rows: one per figure with a limit, and one per horizon with groups.

    Args:
        connection: Connection that may read scores.
        rows: Query for the rows of the publication.
    """
    limited = sql.SQL(
        "select question, scored_date, horizon_days, metric, value, backtest_value, backtest_limit,"
        " coalesce('. Its training: ' || rtrim(judged_model_trust, '.'), '')"
        " from ({rows}) as given where is_worse is not null order by 1, 2, 3, 4"
    ).format(rows=rows)
    grouped = sql.SQL(
        "select question, scored_date, horizon_days, string_agg(format('%s is %s for %s, %s for"
        " the others', metric, round(value::numeric, 3), slice,"
        " round(value_of_others::numeric, 3)), '; ' order by metric, slice)"
        " filter (where value_of_others is not null)"
        " from ({rows}) as given where slice not like 'week%%' and score_status = 'scored'"
        " group by 1, 2, 3 having count(*) filter (where slice <> 'all') > 0 order by 1, 2, 3"
    ).format(rows=rows)
    return [
        *(
            _rule(
                (question, scored_date, days),
                sql.SQL("metric = {} and is_worse").format(sql.Literal(metric)),
                f"{metric} is {value:.3f}, in its backtest {tested:.3f}, limit {limit:.3f}{words}",
            )
            for question, scored_date, days, metric, value, tested, limit, words in (
                connection.execute(limited)
            )
        ),
        *(
            _rule(
                (question, scored_date, days),
                sql.SQL("value_of_others is not null"),
                f"groups are served alike{f', but {gaps}' if gaps else ''}",
            )
            for question, scored_date, days, gaps in connection.execute(grouped)
        ),
    ]


def _rule(key: tuple[str, date, int], is_broken: sql.Composable, text: str) -> Rule:
    question, scored_date, days = key
    query = sql.SQL(
        "select 1 from {{batch}} where question = {question} and scored_date = {scored_date}"
        " and horizon_days = {days} and {is_broken}"
    ).format(
        question=sql.Literal(question),
        scored_date=sql.Literal(scored_date),
        days=sql.Literal(days),
        is_broken=is_broken,
    )
    return no_rows(query, f"{question} of {scored_date}, {days} days: {text}", severity=WARNING)
