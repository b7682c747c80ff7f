"""The casts of staging (dbt_project/macros/casts.sql), for steps that parse as staging does."""

from __future__ import annotations

from functools import cache
from typing import Any

from psycopg import sql

from perennial.settings import DBT_PROJECT
from perennial.sources import SourceColumn

# Kind of a column -> the macro with which staging casts it.
CASTS = {
    "number": "as_number",
    "whole_number": "as_whole_number",
    "date": "as_date",
    "timestamp": "as_shop_time",
}
ORDER_TIME = "as_order_time"
NUMBERS = ("number", "whole_number")


@cache
def casts(time_zone: str) -> Any:
    """The macros as functions: each maps a column, quoted for SQL, to an SQL expression.

    Args:
        time_zone: Time zone of the shop, IANA.
    """
    from jinja2 import Environment

    text = (DBT_PROJECT / "macros" / "casts.sql").read_text()
    # SQL, not HTML
    template = Environment(autoescape=False).from_string(text)
    return template.make_module({"var": {"time_zone": time_zone}.__getitem__})


def value_and_cast(column: SourceColumn, time_zone: str) -> tuple[sql.Composable, sql.Composable]:
    """SQL of a raw column's value (null if it is blank), and of the value as staging casts it."""
    quoted = sql.Identifier(column.name).as_string()
    # NaN is an unreadable value in a required column, and a missing value in an optional one
    text = (
        f"nullif(btrim({quoted}), '')" if column.is_required else casts(time_zone).as_text(quoted)
    )
    value = sql.SQL("({})").format(sql.SQL(text))
    macro = cast_macro(column)
    if macro is None:
        return value, value
    return value, sql.SQL("({})").format(sql.SQL(getattr(casts(time_zone), macro)(quoted)))


def cast_macro(column: SourceColumn) -> str | None:
    """Name of the macro that casts a column; None if staging does not cast it.

    For an id, the macro that checks whether a spreadsheet rounded it.
    """
    if column.kind == "id":
        return "is_rounded_id"
    return ORDER_TIME if column.is_order_time else CASTS.get(column.kind)
