"""Evaluate rules with Great Expectations, and read its results.

The one module that imports Great Expectations, which takes seconds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.row_conditions import Column
from sqlalchemy import event

from expectations.results import GateFailed, Result
from expectations.rules import Check, Rule, has_columns, has_rows
from perennial.settings import WAREHOUSE
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg
    from great_expectations.datasource.fluent import PostgresDatasource

    from perennial.settings import Settings

OBSERVED_MAX_CHARACTERS = 300
ROWS = "select /* the rows of a gate */ * from ({query}) as rows"
# What GX runs for names of columns, and, having counted them, for rows that break a rule of ours.
BARE_ROWS = re.compile(r"\s*select (/\* the rows of a gate|1 from)", re.IGNORECASE)


def evaluate(settings: Settings, role: str, checks: Sequence[Check]) -> list[Result]:
    """Results of all rules, in their order, as a role of the warehouse.

    Raises:
        GateFailed: If Great Expectations left out a rule.
    """
    with _source(settings, role) as source:
        return [result for check in checks for result in _evaluate(source, check)]


def expectation(rule: Rule) -> gxe.Expectation:
    """The rule as Great Expectations has it.

    Raises:
        ValueError: If it does not take these arguments.
    """
    arguments = dict(rule.arguments)
    if rule.where:
        arguments["row_condition"] = Column(rule.where.column) == rule.where.value
    return getattr(gxe, rule.name)(**arguments)


@contextmanager
def _source(settings: Settings, role: str) -> Iterator[PostgresDatasource]:
    # sets its own level; would log a folder for pages that nobody asked for
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_postgres(  # type: ignore[call-arg]  # its stub lacks kwargs
        role,
        # says who and where, and no password: GX shows it in errors and logs
        connection_string=f"postgresql+psycopg://{role}@{settings.pg_host}/{WAREHOUSE}",
        kwargs={"creator": _Connector(settings, role), "pool_size": 1},
    )
    engine = source.get_execution_engine().engine
    event.listen(engine, "before_cursor_execute", _ask_for_names_only, retval=True)
    try:
        yield source
    finally:
        engine.dispose()
        source.get_engine().dispose()


def _ask_for_names_only(
    _connection: object, _cursor: object, statement: str, parameters: object, *_: object
) -> tuple[str, object]:
    """Let GX learn the names of a query's columns without its rows.

    It runs the bare query for that, three times a table, and would read all of it into memory; and
    each `unexpected_rows_query` a second time, for rows of which we take only the count.
    """
    if BARE_ROWS.match(statement):
        statement += " limit 0"
    return statement, parameters


class _Connector:
    """Opens GX's connections, so that its configuration need not hold the password."""

    def __init__(self, settings: Settings, role: str) -> None:
        self._settings = settings
        self._role = role

    def __call__(self) -> psycopg.Connection[Any]:
        return connect(self._settings, self._role)


def _evaluate(source: PostgresDatasource, check: Check) -> list[Result]:
    suite = gx.ExpectationSuite(name=check.table)
    always = [has_columns(check.columns), *([] if check.may_be_empty else [has_rows()])]
    for rule in (*always, *check.rules):
        suite.add_expectation(expectation(rule))
    batch = (
        source.add_query_asset(
            f"{check.table} {len(source.assets)}", query=ROWS.format(query=check.rows.as_string())
        )
        .add_batch_definition_whole_table("rows")
        .get_batch()
    )
    outcome = batch.validate(
        suite,
        # counts only: the values that broke a rule may be somebody's
        result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
    )
    results = [_result(check.table, item) for item in outcome.results]
    if len(results) != len(suite.expectations):
        raise GateFailed(
            f"{check.table}: {len(suite.expectations)} rules gave {len(results)} results"
        )
    return results


def _result(table_name: str, item: ExpectationValidationResult) -> Result:
    """A validation result in our words: counts, never the values that broke a rule."""
    config = item.expectation_config
    assert config is not None  # GX types it optional; a validated rule has one
    error = _error(item)
    result = item.result or {}
    unexpected_count = result.get("unexpected_count")
    if config.type == "unexpected_rows_expectation":
        unexpected_count = result.get("observed_value")
    return Result(
        table_name=table_name,
        expectation=_rule(config.type, dict(config.kwargs), config.description),
        column_name=_columns(config.kwargs),
        severity=str(getattr(config.severity, "value", config.severity)),
        success=bool(item.success) and error is None,
        observed=_observed(result, unexpected_count) if error is None else error,
        element_count=result.get("element_count"),
        unexpected_count=unexpected_count,
        is_error=error is not None,
    )


def _error(item: ExpectationValidationResult) -> str | None:
    """First line of why a rule could not be evaluated; None if it could."""
    # flat when all is well, nested by metric when a metric raised
    info = item.exception_info or {}
    for details in (info, *info.values()):
        if isinstance(details, dict) and details.get("raised_exception"):
            message = str(details.get("exception_message") or "no message").strip()
            return message.splitlines()[0][:OBSERVED_MAX_CHARACTERS]
    return None


def _rule(kind: str, kwargs: dict[str, Any], description: str | None) -> str:
    if description:
        return f"{kind}: {description}"
    hidden = {"batch_id", "column", "column_list", "column_A", "column_B", "row_condition"}
    bounds = [f"{name}={value}" for name, value in kwargs.items() if name not in hidden]
    condition = kwargs.get("row_condition")
    if condition:
        condition = condition if isinstance(condition, dict) else condition.dict()
        bounds.append(
            f"where {condition['column']['name']} {condition['operator']} {condition['parameter']}"
        )
    return f"{kind}({', '.join(bounds)})"


def _columns(kwargs: dict[str, Any]) -> str | None:
    if "column" in kwargs:
        return str(kwargs["column"])
    if "column_A" in kwargs:
        return f"{kwargs['column_A']}, {kwargs['column_B']}"
    return ", ".join(kwargs.get("column_list", ())) or None


def _observed(result: dict[str, Any], unexpected_count: int | None) -> str:
    if unexpected_count is not None:
        of = f" of {result['element_count']}" if "element_count" in result else ""
        return f"{unexpected_count}{of} rows break it"
    return str(result.get("observed_value"))[:OBSERVED_MAX_CHARACTERS]
