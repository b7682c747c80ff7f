"""Read the reporting views of a date as a reader does, with no more rights than `bi_reader`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from perennial import contracts, offers
from perennial.roles import CHECKER
from perennial.settings import Settings
from perennial.warehouse import connect

MODEL_HEALTH = "model_health"


class DeliveryError(RuntimeError):
    """A reporting view lacks the date; the message names view and date."""


@dataclass(frozen=True)
class Delivered:
    """A view, its number of rows for a date, and its headline figures by label."""

    view: str
    rows: int
    headlines: dict[str, str]


def check_delivery(settings: Settings, as_of_date: date) -> dict[str, int]:
    """Check that each reporting view has rows for a date, and return their number by view.

    Raises:
        DeliveryError: If a view has none.
    """
    rows_of = {view.view: view.rows for view in delivered_views(settings, as_of_date)}
    may_be_empty = {
        table.name
        for question in contracts.questions()
        for table in contracts.load(question).tables
        if table.may_be_empty
    }
    empty = [view for view, rows in rows_of.items() if not rows and view not in may_be_empty]
    if empty:
        raise DeliveryError(
            f"no rows of {as_of_date} in reporting.{', reporting.'.join(empty)}: the question was "
            f"not published for that date; look at its score DAG and at ops.publications"
        )
    return rows_of


def delivered_views(settings: Settings, as_of_date: date) -> list[Delivered]:
    """Query each reporting view of the offered questions for a date; a view may have 0 rows."""
    missing = not_offered(settings)
    with connect(settings, CHECKER) as connection:
        views = [
            _view(connection, f"{table.name}_history", table.headlines, as_of_date)
            for question in contracts.questions()
            if question not in missing
            for table in contracts.load(question).tables
        ]
        return views + [
            _view(connection, view, {}, as_of_date)
            for view in contracts.ONE_ROW_VIEWS
            if _shows(connection, view, as_of_date)
        ]


def _shows(connection: psycopg.Connection[Any], view: str, as_of_date: date) -> bool:
    """Whether a view that holds one date has rows, and none of a later date."""
    query = sql.SQL("select as_of_date from {} limit 1").format(sql.Identifier("reporting", view))
    return any(of_view <= as_of_date for (of_view,) in connection.execute(query))


def not_offered(settings: Settings) -> dict[str, str]:
    """Questions that are not offered at this shop, with the reason of each."""
    with connect(settings, "scorer") as connection:
        return offers.why_not(connection)


def judged_view(settings: Settings, as_of_date: date) -> Delivered:
    """Query the lookback figures of a date; 0 rows if no horizon had ended."""
    headlines = contracts.load(contracts.LOOKBACK).tables[0].headlines
    with connect(settings, CHECKER) as connection:
        return _view(connection, f"{MODEL_HEALTH}_history", headlines, as_of_date)


def _view(
    connection: psycopg.Connection[Any], view: str, headlines: dict[str, str], as_of_date: date
) -> Delivered:
    figures = sql.SQL(", ").join(
        # the expressions are from the contract, not from users
        [sql.SQL("count(*)"), *(sql.SQL(expression) for expression in headlines.values())]
    )
    query = sql.SQL("select {} from {} where as_of_date = %s").format(
        figures, sql.Identifier("reporting", view)
    )
    row = connection.execute(query, [as_of_date]).fetchone()
    assert row is not None  # an aggregate always has one row
    texts = {label: str(value) for label, value in zip(headlines, row[1:], strict=True)}
    return Delivered(view.removesuffix("_history"), row[0], texts)


def is_published(settings: Settings, as_of_date: date) -> bool:
    """Whether all offered questions and the lookback are published, untouched by late files."""
    with connect(settings, "transformer") as connection:
        offered = offers.offered(connection)
        row = connection.execute(
            "select array(select question from ops.publications where as_of_date = %(date)s),"
            " exists(select from ops.late_dates where as_of_date = %(date)s)",
            {"date": as_of_date},
        ).fetchone()
    assert row is not None
    published, is_late = row
    return {*offered, contracts.LOOKBACK} <= set(published) and not is_late
