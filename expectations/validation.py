"""Evaluate rules with Great Expectations, and convert its results.

Only this module imports Great Expectations, because the import takes seconds.
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
# GX runs such statements to read names of columns, and again for rows that it has counted already.
BARE_ROWS = re.compile(r"\s*select (/\* the rows of a gate|1 from)", re.IGNORECASE)


def evaluate(settings: Settings, role: str, checks: Sequence[Check]) -> list[Result]:
    """Evaluate all rules, with a role of the warehouse.

    Returns:
        A result per rule, in the order of the checks.

    Raises:
        GateFailed: If Great Expectations left out a rule.
    """
    with _source(settings, role) as source:
        return [result for check in checks for result in _evaluate(source, check)]


def expectation(rule: Rule) -> gxe.Expectation:
    """The rule as an expectation of Great Expectations.

    Raises:
        ValueError: If the expectation does not accept the arguments.
    """
    arguments = dict(rule.arguments)
    if rule.where:
        arguments["row_condition"] = Column(rule.where.column) == rule.where.value
    return getattr(gxe, rule.name)(**arguments)


@contextmanager
def _source(settings: Settings, role: str) -> Iterator[PostgresDatasource]:
    # this logger sets its own level, and would log the folder of unused documentation pages
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_postgres(  # type: ignore[call-arg]  # its stub lacks kwargs
        role,
        # without a password, because GX shows the string in errors and logs
        connection_string=f"postgresql+psycopg://{role}@{settings.pg_host}/{WAREHOUSE}",
        kwargs={"creator": _Connector(settings, role), "pool_size": 1},
    )
    engine = source.get_execution_engine().engine
    event.listen(engine, "before_cursor_execute", _read_names_only, retval=True)
    try:
        yield source
    finally:
        engine.dispose()
        source.get_engine().dispose()


def _read_names_only(
    _connection: object, _cursor: object, statement: str, parameters: object, *_: object
) -> tuple[str, object]:
    """Limit the statements that GX runs for column names or for unused rows to 0 rows.

    GX runs the bare query three times a table to read the names of its columns, with all rows in
    memory. It also runs each `unexpected_rows_query` a second time to read rows, of which only the
    count is used.
    """
    if BARE_ROWS.match(statement):
        statement += " limit 0"
    return statement, parameters


class _Connector:
    """Opens connections for GX, so that its configuration does not contain the password."""

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
        # counts only: values that break a rule may be personal data
        result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
    )
    results = [_result(check.table, item) for item in outcome.results]
    if len(results) != len(suite.expectations):
        raise GateFailed(
            f"{check.table}: {len(suite.expectations)} rules gave {len(results)} results"
        )
    return results


def _result(table_name: str, item: ExpectationValidationResult) -> Result:
    """Convert a validation result; it contains counts, never values that break a rule."""
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
    """First line of the error if a rule could not be evaluated, else None."""
    # exception_info is flat without an error, and nested by metric if a metric raised
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
