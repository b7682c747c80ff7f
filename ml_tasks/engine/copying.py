"""COPY score rows into their tables under a new publication_id, which no reader sees yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg import sql
from psycopg.errors import UniqueViolation

from ml_tasks.engine.checksum import Written
from ml_tasks.engine.rows_csv import blocks, csv
from perennial.contracts import Contract, ContractError
from perennial.warehouse import copy_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import date, datetime

    import psycopg


def write(
    connection: psycopg.Connection[Any],
    tables: Iterable[tuple[str, pa.Table]],
    contract: Contract,
    as_of_date: date,
    run_id: str,
) -> tuple[int, dict[str, Written]]:
    """COPY the rows under a new publication_id, which is returned with table -> counts and digest.

    Args:
        connection: Role scorer, committing each statement.
        tables: Table name and rows, from `stamped`; a table may come in several parts.
        contract: Contract of the question.
        as_of_date: The scored date.
        run_id: The run that scored.

    Raises:
        ContractError: If a table is missing, or if two parts have the same key; nothing is written.
    """
    publication_id, scored_at = begin(connection, contract, as_of_date)
    stamps = {
        "run_id": pa.scalar(run_id),
        "publication_id": pa.scalar(publication_id),
        "scored_at": pa.scalar(scored_at.isoformat()),
    }
    written: dict[str, Written] = {}
    with connection.transaction():
        for table, rows in tables:
            _copy(connection, table, rows, stamps, written.setdefault(table, Written()))
        _check_complete(contract, written)
    analyze(connection, contract, as_of_date)
    return publication_id, written


def begin(
    connection: psycopg.Connection[Any], contract: Contract, as_of_date: date
) -> tuple[int, datetime]:
    """A new publication_id and the time of the warehouse; makes the partitions of the month."""
    cursor = connection.execute("select nextval('ops.publication_id_seq'), clock_timestamp()")
    ((publication_id, scored_at),) = cursor.fetchall()
    for table in contract.tables:  # one transaction each: a new partition is locked only briefly
        connection.execute("select scores.ensure_month(%s, %s)", [table.name, as_of_date])
    return publication_id, scored_at


def analyze(connection: psycopg.Connection[Any], contract: Contract, as_of_date: date) -> None:
    """Update the statistics: without them the views' first readers would get poor plans."""
    for table in contract.tables:
        month = sql.Identifier("scores", f"{table.name}_{as_of_date:%Y_%m}")
        connection.execute(sql.SQL("analyze {}").format(month))


def _check_complete(contract: Contract, written: Collection[str]) -> None:
    names = [table.name for table in contract.tables]
    if missing := set(names) - set(written):
        raise ContractError(
            f"{contract.question} must return rows of {', '.join(names)};"
            f" missing: {', '.join(sorted(missing))}"
        )


def _copy(
    connection: psycopg.Connection[Any],
    table: str,
    rows: pa.Table,
    stamps: dict[str, pa.Scalar],
    counted: Written,
) -> None:
    statement = sql.SQL("copy {table} ({columns}) from stdin (format csv)").format(
        table=sql.Identifier("scores", table),
        columns=sql.SQL(", ").join(map(sql.Identifier, [*rows.column_names, *stamps])),
    )
    try:
        copy_in(connection, statement, _counted_csv(rows, stamps, counted))
    except UniqueViolation:  # its message contains the key
        raise ContractError(
            f"scores.{table}: rows of two parts repeat a key; shards must not overlap"
        ) from None


def _counted_csv(rows: pa.Table, stamps: dict[str, pa.Scalar], counted: Written) -> Iterator[bytes]:
    """The rows as CSV with the stamps of the run, a block at a time; counts them on the way."""
    for block in blocks(rows):
        counted.add(block, csv(block))
        for name, value in stamps.items():
            block = block.append_column(name, pa.repeat(value, block.num_rows))
        yield csv(block)
