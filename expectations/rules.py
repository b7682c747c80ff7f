"""Builders of rules: each names an expectation of Great Expectations with its arguments.

A rule stops the run unless its severity is WARNING. Rules are values of our own, so that only the
module that evaluates them (`validation.py`) imports Great Expectations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from expectations.results import CRITICAL, Severity

BATCH = sql.SQL("{batch}")  # placeholder in a query for the checked rows


@dataclass(frozen=True)
class Equals:
    """A condition on rows: only those whose `column` equals `value` are checked."""

    column: str
    value: str | int


@dataclass(frozen=True)
class Rule:
    """A rule on rows.

    Attributes:
        name: Class in great_expectations.expectations.
        arguments: Arguments of the class, without those that are None.
        where: Condition on the checked rows; None: all rows.
    """

    name: str
    arguments: Mapping[str, Any]
    where: Equals | None = None


@dataclass(frozen=True)
class Check:
    """The rules of one table.

    Attributes:
        table: Name of the table, with schema.
        rows: Query for exactly the rows to check.
        columns: Columns that the query must return at least.
        rules: Rules besides the two that every table gets: `has_columns`, `has_rows`.
        may_be_empty: True if there may be no rows.
    """

    table: str
    rows: sql.Composed
    columns: Sequence[str]
    rules: Sequence[Rule]
    may_be_empty: bool = False


def has_columns(names: Collection[str]) -> Rule:
    """The rows have these columns; more are fine."""
    return _rule("ExpectTableColumnsToMatchSet", column_set=list(names), exact_match=False)


def has_rows() -> Rule:
    """There is at least one row; without rows, rules on values pass instead of failing."""
    return _rule("ExpectTableRowCountToBeBetween", min_value=1)


def row_count(count: int) -> Rule:
    """There are exactly `count` rows."""
    return _rule("ExpectTableRowCountToEqual", value=count)


def not_null(
    column: str, *, where: Equals | None = None, mostly: float = 1, severity: Severity = CRITICAL
) -> Rule:
    """At least the share `mostly` of the values is not null."""
    return _rule(
        "ExpectColumnValuesToNotBeNull", where, column=column, mostly=mostly, severity=severity
    )


def null(column: str, *, where: Equals | None = None) -> Rule:
    """Every value is null."""
    return _rule("ExpectColumnValuesToBeNull", where, column=column)


def between(
    column: str,
    least: float | None = None,
    most: float | None = None,
    *,
    severity: Severity = CRITICAL,
    description: str | None = None,
) -> Rule:
    """Every value is at least `least` and at most `most`; None is no bound."""
    return _rule(
        "ExpectColumnValuesToBeBetween",
        column=column,
        min_value=least,
        max_value=most,
        severity=severity,
        description=description,
    )


def smallest_at_most(column: str, most: float, *, severity: Severity = CRITICAL) -> Rule:
    """The smallest value is at most `most`."""
    return _rule("ExpectColumnMinToBeBetween", column=column, max_value=most, severity=severity)


def in_set(
    column: str, values: Sequence[object], *, mostly: float = 1, severity: Severity = CRITICAL
) -> Rule:
    """At least the share `mostly` of the values is one of `values`."""
    return _rule(
        "ExpectColumnValuesToBeInSet",
        column=column,
        value_set=list(values),
        mostly=mostly,
        severity=severity,
    )


def at_least(larger: str, smaller: str, *, ignores_nulls: bool = False) -> Rule:
    """The column `larger` is nowhere below the column `smaller`.

    Args:
        larger: Name of a column.
        smaller: Name of a column.
        ignores_nulls: If True, rows with either column null pass; else rows with both null pass.
    """
    return _rule(
        "ExpectColumnPairValuesAToBeGreaterThanB",
        column_A=larger,
        column_B=smaller,
        or_equal=True,
        ignore_row_if="either_value_is_missing" if ignores_nulls else "both_values_are_missing",
    )


def no_rows(
    query: str | sql.Composed, description: str | None = None, *, severity: Severity = CRITICAL
) -> Rule:
    """A query returns no rows.

    Args:
        query: Query that reads the checked rows from `{batch}` (if composed, from BATCH).
        description: The fact that holds if the query returns no rows.
        severity: CRITICAL or WARNING.
    """
    text = query if isinstance(query, str) else query.as_string()
    return _rule(
        "UnexpectedRowsExpectation",
        unexpected_rows_query=text,
        description=description,
        severity=severity,
    )


def unique(*columns: str) -> Rule:
    """No two rows share these columns.

    Great Expectations' own rule for several columns joins the rows with themselves. On rows just
    written, for which Postgres has no statistics yet, that took minutes for ten thousand rows.
    """
    query = sql.SQL("select 1 from {batch} group by {columns} having count(*) > 1").format(
        batch=BATCH, columns=sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    return no_rows(query, f"unique: {', '.join(columns)}")


def _rule(name: str, where: Equals | None = None, /, **arguments: Any) -> Rule:
    given = {key: value for key, value in arguments.items() if value is not None}
    return Rule(name, given, where)
