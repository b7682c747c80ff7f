"""Run a door's rules, keep each result as a row, and stop or tell by severity.

critical stops the run, warning is told, info is recorded. A rule that could not be evaluated
stops whatever its severity, and so do a missing column and an empty table: on those, rules about
column values pass or vanish instead of failing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations.results import Result, read_result, record
from perennial.settings import WAREHOUSE
from perennial.warehouse import connect

if TYPE_CHECKING:
    import great_expectations.expectations as gxe
    import psycopg
    from great_expectations.datasource.fluent import PostgresDatasource

    from perennial.settings import Settings

log = logging.getLogger(__name__)

BATCH = sql.SQL("{batch}")  # where GX puts the rows into a query of our own
ROWS = "select /* the rows of a gate */ * from ({query}) as rows"
# What GX runs for names of columns, and, having counted them, for rows that break a rule of ours.
BARE_ROWS = re.compile(r"\s*select (/\* the rows of a gate|1 from)", re.IGNORECASE)

# GX takes the words; its types ask for its enum, which would have to be imported.
CRITICAL: Any = "critical"
WARNING: Any = "warning"


class GateFailed(Exception):
    """Rules stopped the run; the message names each of them, its table and what was found."""


@dataclass(frozen=True)
class Check:
    """The rules of one table.

    Attributes:
        table: Its name, with schema.
        rows: Query for the rows that the rules are about, and no others.
        columns: What the query must return, at least.
        expectations: Rules beside the two that every table has: it has its columns and rows.
        may_be_empty: Whether having no rows is fine.
    """

    table: str
    rows: sql.Composed
    columns: Sequence[str]
    expectations: Sequence[gxe.Expectation]
    may_be_empty: bool = False


@dataclass(frozen=True)
class Summary:
    """A gate that let the run pass: how many rules it asked, and what to tell, in words."""

    gate: str
    rule_count: int
    warnings: list[str]


def unique(*columns: str) -> gxe.Expectation:
    """A rule: no two rows share these columns.

    GX's own rule for several columns joins the rows with themselves; on rows that were just
    written, of which Postgres has no statistics yet, that took minutes for some ten thousand.
    """
    import great_expectations.expectations as gxe

    query = sql.SQL("select 1 from {batch} group by {columns} having count(*) > 1").format(
        batch=BATCH, columns=sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    return gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=query.as_string(), description=f"unique: {', '.join(columns)}"
    )


def run_gate(
    settings: Settings,
    role: str,
    gate: str,
    checks: Sequence[Check],
    *,
    as_of_date: date | None,
    run_id: str,
    publication_id: int | None = None,
) -> Summary:
    """Evaluate all rules of a door, as the role of the step that it guards.

    Returns:
        Its `warnings` are the failed rules that did not stop the run.

    Raises:
        GateFailed: If a critical rule failed or any rule could not be evaluated. All results are
            in ops.gate_results all the same.
    """
    with connect(settings, role) as connection:
        with _source(settings, role) as source:
            results = [result for check in checks for result in _evaluate(source, check)]
        record(
            connection,
            results,
            {
                "run_id": run_id,
                "gate": gate,
                "as_of_date": as_of_date,
                "publication_id": publication_id,
            },
        )
    for result in results:
        if not result.success:
            log.log(logging.ERROR if result.stops else logging.WARNING, "gate %s %s", gate, result)
    stops = [str(result) for result in results if result.stops]
    if stops:
        raise GateFailed(f"gate {gate} stopped the run, {len(stops)} rules: " + " | ".join(stops))
    warnings = [str(r) for r in results if not r.success and r.severity == "warning"]
    log.info("gate %s let the run pass: %s rules, %s warnings", gate, len(results), len(warnings))
    return Summary(gate, len(results), warnings)


@contextmanager
def _source(settings: Settings, role: str) -> Iterator[PostgresDatasource]:
    import great_expectations as gx
    from sqlalchemy import event

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
    import great_expectations as gx
    import great_expectations.expectations as gxe

    suite = gx.ExpectationSuite(name=check.table)
    suite.add_expectation(
        gxe.ExpectTableColumnsToMatchSet(column_set=list(check.columns), exact_match=False)
    )
    if not check.may_be_empty:
        suite.add_expectation(gxe.ExpectTableRowCountToBeBetween(min_value=1))
    for expectation in check.expectations:
        suite.add_expectation(expectation)
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
    results = [read_result(check.table, item) for item in outcome.results]
    if len(results) != len(suite.expectations):
        raise GateFailed(
            f"{check.table}: {len(suite.expectations)} rules gave {len(results)} results"
        )
    return results
