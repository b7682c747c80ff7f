"""Publish scores: check, write beside, gate, switch one pointer. The only writer of `scores`.

Readers see the old rows or the new ones: views read through ops.publications, and one transaction
points it at the new publication once its rows are there and have passed the gate. A failure
anywhere before leaves the old pointer; the rows it left behind go with the superseded ones.
Nothing but this module reads the clock, and it reads the database's.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from psycopg import sql
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from expectations.scores import gate_scores
from ml_tasks.engine.contract_check import checked
from ml_tasks.engine.erased import without_erased
from perennial.contracts import RUN_COLUMNS, Contract, ContractError, ScoreTable, load, published
from perennial.warehouse import connect, copy_in

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping

    import psycopg

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000
SUPERSEDED_KEPT = timedelta(hours=6)  # longer than any publish takes


class OvertakenError(RuntimeError):
    """Another publication of the date came between: what it knew, these rows may not."""


def publish(
    settings: Settings,
    parts: Iterable[Mapping[str, pd.DataFrame]],
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
    run_id: str,
    late_file_ids: Collection[int] | None = None,
    read_at: datetime | None = None,
) -> dict[str, Any]:
    """Replace the scores of a question and date.

    Args:
        settings: Where the warehouse is; rows are written as role scorer.
        parts: Table name -> rows: the contract's columns without those that are stamped here. A
            table may come in several parts. They are asked for in a thread of their own, one table
            ahead of the one that is being written: two are held at a time.
        contract: What the rows must keep.
        as_of_date: Date that was scored.
        model: Model that made the numbers.
        run_id: Run that made them.
        late_file_ids: Late files that the scores include: noted before the features were read.
            None: all that are noted now.
        read_at: When reading what the rows are made of began. None: it does not matter.

    Returns:
        JSON-able: question, as_of_date, publication_id, model_name, model_version, row_counts,
        not_scored_counts, checksum (equal rows, equal checksum, whatever the run and the order),
        warnings.

    Raises:
        ContractError: If the rows do not keep the contract; nothing was written.
        expectations.results.GateFailed: If the gate stopped them; readers still see the old rows.
        OvertakenError: If others were published since `read_at`, which may know more; readers see
            those.
    """
    if model.training_date > as_of_date:
        raise ContractError(
            f"{contract.question} {as_of_date}: a model of {model.training_date} knows the future"
        )
    with (
        connect(settings, "scorer", autocommit=True) as connection,
        one_publish_at_a_time(connection, contract.question, as_of_date),
    ):
        with closing(_one_ahead(_ready(parts, contract, as_of_date, model))) as ready:
            tables = ((name, without_erased(settings, connection, rows)) for name, rows in ready)
            publication_id, written = _write(connection, tables, contract, as_of_date, run_id)
        row_counts = {name: one.rows for name, one in written.items()}
        gate = gate_scores(settings, contract, as_of_date, publication_id, run_id, row_counts)
        summary = {
            "question": contract.question,
            "as_of_date": as_of_date.isoformat(),
            "publication_id": publication_id,
            "model_name": model.name,
            "model_version": model.model_version,
            "row_counts": row_counts,
            "not_scored_counts": {name: one.not_scored for name, one in written.items()},
            "checksum": _checksum(written),
            "warnings": gate.warnings,
        }
        _switch(connection, summary, model.training_date, run_id, late_file_ids, read_at)
    log.info("published %s", summary)
    return summary


def now(connection: psycopg.Connection[Any]) -> datetime:
    """The warehouse's time, for `read_at`."""
    ((time,),) = connection.execute("select clock_timestamp()").fetchall()
    return time


def checksum_in_force(
    connection: psycopg.Connection[Any], contract: Contract, as_of_date: date
) -> str:
    """The checksum of a publication's rows as they are in the tables now."""
    query = "select publication_id, model_name, model_version from ops.publications"
    (pointer,) = connection.execute(
        query + " where question = %s and as_of_date = %s", [contract.question, as_of_date]
    ).fetchall()
    publication_id, model_name, model_version = pointer
    found = {}
    for table in contract.tables:
        found[table.name] = Written()
        columns = [sql.Identifier(column.name) for column in table.question_columns]
        rows = sql.SQL("select {} from {} where as_of_date = %s and publication_id = %s").format(
            sql.SQL(", ").join(columns), table.relation
        )
        with connection.transaction(), connection.cursor("of a publication") as cursor:
            cursor.execute(rows, [as_of_date, publication_id])
            names = [column.name for column in cursor.description or ()]
            while part := cursor.fetchmany(ROWS_AT_ONCE):
                frame = pd.DataFrame(part, columns=names)
                rows_of = _stamped(
                    checked(frame, table), table, as_of_date, model_name, model_version
                )
                found[table.name].add(rows_of, _csv(rows_of))
    return _checksum(found)


def clean_superseded(settings: Settings, older_than: timedelta = SUPERSEDED_KEPT) -> dict[str, int]:
    """Delete rows that no pointer shows: superseded, or left by a run that failed.

    Those of a date that is being published stay, however old they are.

    Args:
        settings: Where the warehouse is.
        older_than: Rows and parts written more recently stay: their run may still be at work.

    Returns:
        Rows deleted, by table; of `score_parts`, parts.
    """
    deleted: dict[str, int] = {}
    with connect(settings, "scorer", autocommit=True) as connection:
        deleted["score_parts"] = connection.execute(
            "delete from ops.score_parts where read_at < now() - %s", [older_than]
        ).rowcount
        for question in published():
            for table in load(question).tables:
                deleted[table.name] = _clean(connection, question, table, older_than)
    return deleted


@dataclass
class Written:
    """What was written to a table.

    Attributes:
        rows: How many.
        not_scored: How many of them have no score.
        digest: Sum of the SHA-256 of their lines of CSV, without the stamps of the run: four
            numbers of 64 bits, each modulo 2 ** 64. Equal for equal rows in any order.
    """

    rows: int = 0
    not_scored: int = 0
    digest: np.ndarray = field(default_factory=lambda: np.zeros(4, dtype=np.uint64))

    def add(self, rows: pa.Table, csv: bytes) -> None:
        """Count rows, given as a table and as its CSV."""
        self.rows += rows.num_rows
        self.not_scored += pc.sum(pc.equal(rows["score_status"], "not_scored")).as_py() or 0
        lines = b"".join(hashlib.sha256(line).digest() for line in csv.splitlines())
        self.digest += np.frombuffer(lines, dtype="<u8").reshape(-1, 4).sum(axis=0)


def _checksum(written: Mapping[str, Written]) -> str:
    told = "".join(f"{name} {one.digest.tolist()}\n" for name, one in sorted(written.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def _ready(
    parts: Iterable[Mapping[str, pd.DataFrame]],
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
) -> Iterator[tuple[str, pa.Table]]:
    """The rows of a table of a part, checked and stamped with what is equal in equal runs."""
    tables = {table.name: table for table in contract.tables}
    for frames in parts:
        if unknown := set(frames) - set(tables):
            raise ContractError(f"{contract.question} has no table {', '.join(sorted(unknown))}")
        for name, frame in frames.items():
            rows = checked(frame, tables[name])
            yield name, _stamped(rows, tables[name], as_of_date, model.name, model.model_version)


def _one_ahead(
    tables: Iterator[tuple[str, pa.Table]],
) -> Generator[tuple[str, pa.Table], None, None]:
    """The same; while one is used a thread makes the next. What it raises is raised here."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, tables, None)
        while given := coming.result():
            coming = thread.submit(next, tables, None)
            yield given


def _stamped(
    rows: pa.Table, table: ScoreTable, as_of_date: date, model_name: str, model_version: str
) -> pa.Table:
    """Rows in the order of their entity, with the columns that are equal in equal runs."""
    stamps = {
        "as_of_date": pa.scalar(as_of_date, pa.date32()),
        "model_name": pa.scalar(model_name),
        "model_version": pa.scalar(model_version),
    }
    for name, value in stamps.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    rows = rows.select([name for name in table.column_names if name not in RUN_COLUMNS])
    return rows.sort_by([(name, "ascending") for name in table.key])


def _blocks(rows: pa.Table) -> Iterator[pa.Table]:
    """A few rows at a time: their CSV is never in memory as a whole."""
    for start in range(0, rows.num_rows, ROWS_AT_ONCE):
        yield rows.slice(start, ROWS_AT_ONCE)


def _csv(rows: pa.Table) -> bytes:
    for number, column in enumerate(rows.columns):
        if pa.types.is_list(column.type):
            text = _array_literals(column.combine_chunks())
            rows = rows.set_column(number, rows.column_names[number], text)
    sink = pa.BufferOutputStream()
    # text in quotes, null bare: COPY tells an empty text from a null by them
    pa_csv.write_csv(rows, sink, pa_csv.WriteOptions(include_header=False))
    return sink.getvalue().to_pybytes()


def _array_literals(lists: pa.Array) -> pa.Array:
    """Lists as Postgres spells arrays, `{"a","b"}`; null stays null."""
    elements = lists.flatten().cast(pa.string())
    for mark in ("\\", '"'):
        elements = pc.replace_substring(elements, mark, f"\\{mark}")
    quoted = pc.binary_join_element_wise('"', elements, '"', "")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    whole = pa.ListArray.from_arrays(offsets.cast(pa.int32()), quoted, mask=pc.is_null(lists))
    return pc.binary_join_element_wise("{", pc.binary_join(whole, ","), "}", "")


def _lock_of(question: str, as_of_date: date) -> str:
    return f"publish {question} {as_of_date}"


@contextmanager
def one_publish_at_a_time(
    connection: psycopg.Connection[Any], question: str, as_of_date: date
) -> Iterator[None]:
    """Hold the lock of a question and date: a second publish of them waits for the first."""
    key = [_lock_of(question, as_of_date)]
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", key)
    try:
        yield
    finally:
        if not connection.broken:  # else the lock went with it
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", key)


def _write(
    connection: psycopg.Connection[Any],
    tables: Iterable[tuple[str, pa.Table]],
    contract: Contract,
    as_of_date: date,
    run_id: str,
) -> tuple[int, dict[str, Written]]:
    """COPY the rows under a new publication_id, which no reader sees yet.

    Returns:
        publication_id, and what was written, by table.
    """
    cursor = connection.execute("select nextval('ops.publication_id_seq'), clock_timestamp()")
    ((publication_id, scored_at),) = cursor.fetchall()
    names = [table.name for table in contract.tables]
    for table in names:  # a transaction each: the new partition is locked for an instant only
        connection.execute("select scores.ensure_month(%s, %s)", [table, as_of_date])
    stamps = {
        "run_id": pa.scalar(run_id),
        "publication_id": pa.scalar(publication_id),
        "scored_at": pa.scalar(scored_at.isoformat()),
    }
    written: dict[str, Written] = {}

    def blocks(rows: pa.Table, counted: Written) -> Iterator[bytes]:
        for block in _blocks(rows):
            counted.add(block, _csv(block))
            for name, value in stamps.items():
                block = block.append_column(name, pa.repeat(value, block.num_rows))
            yield _csv(block)

    with connection.transaction():
        for table, rows in tables:
            statement = sql.SQL("copy {table} ({columns}) from stdin (format csv)").format(
                table=sql.Identifier("scores", table),
                columns=sql.SQL(", ").join(map(sql.Identifier, [*rows.column_names, *stamps])),
            )
            counted = written.setdefault(table, Written())
            try:
                copy_in(connection, statement, blocks(rows, counted))
            except UniqueViolation:  # whose message names the entity
                raise ContractError(
                    f"scores.{table}: rows of two parts repeat a key; shards must not overlap"
                ) from None
        if missing := set(names) - set(written):
            raise ContractError(
                f"{contract.question} must bring the tables {', '.join(names)};"
                f" {', '.join(sorted(missing))} did not come"
            )
    for table in names:  # without statistics the views' first readers would get poor plans
        month = sql.Identifier("scores", f"{table}_{as_of_date:%Y_%m}")
        connection.execute(sql.SQL("analyze {}").format(month))
    return publication_id, written


def _switch(
    connection: psycopg.Connection[Any],
    summary: Mapping[str, Any],
    training_date: date,
    run_id: str,
    late_file_ids: Collection[int] | None,
    read_at: datetime | None,
) -> None:
    """Point ops.publications at the new rows. From here on readers see them."""
    values = {
        **summary,
        "training_date": training_date,
        "run_id": run_id,
        "row_count": sum(summary["row_counts"].values()),
        "row_counts": Jsonb(summary["row_counts"]),
        "late_file_ids": None if late_file_ids is None else list(late_file_ids),
        "read_at": read_at,
    }
    with connection.transaction():
        switched = connection.execute(
            "insert into ops.publications (question, as_of_date, publication_id, run_id,"
            " model_name, model_version, training_date, row_count, row_counts, checksum)"
            " values (%(question)s, %(as_of_date)s, %(publication_id)s, %(run_id)s,"
            " %(model_name)s, %(model_version)s, %(training_date)s, %(row_count)s,"
            " %(row_counts)s, %(checksum)s)"
            " on conflict (question, as_of_date) do update set"
            " publication_id = excluded.publication_id, run_id = excluded.run_id,"
            " model_name = excluded.model_name, model_version = excluded.model_version,"
            " training_date = excluded.training_date, row_count = excluded.row_count,"
            " row_counts = excluded.row_counts, checksum = excluded.checksum,"
            " published_at = excluded.published_at"
            " where publications.published_at < coalesce(%(read_at)s::timestamptz, 'infinity')",
            values,
        )
        if not switched.rowcount:
            raise OvertakenError(
                f"{summary['question']} {summary['as_of_date']} was published since"
            )
        # what came late is in these scores now, but for files noted while they were made
        connection.execute(
            "delete from ops.late_dates where question = %(question)s"
            " and as_of_date = %(as_of_date)s"
            " and file_id = any(coalesce(%(late_file_ids)s::bigint[], array[file_id]))",
            values,
        )


def _clean(
    connection: psycopg.Connection[Any], question: str, table: ScoreTable, older_than: timedelta
) -> int:
    # Hops from one (as_of_date, publication_id) to the next along the primary key: reading every
    # row to find the few publications would take as long as the history is large.
    find = sql.SQL(
        "with recursive written as ("
        " (select as_of_date, publication_id, scored_at from {table}"
        "  order by as_of_date, publication_id limit 1)"
        " union all"
        " select next_one.* from written cross join lateral ("
        "  select as_of_date, publication_id, scored_at from {table} as score_rows"
        "  where (score_rows.as_of_date, score_rows.publication_id)"
        "   > (written.as_of_date, written.publication_id)"
        "  order by as_of_date, publication_id limit 1) as next_one"
        ") select written.as_of_date, written.publication_id from written"
        " where written.scored_at < now() - %(older_than)s and not exists ("
        "  select from ops.publications where publications.question = %(question)s"
        "  and publications.as_of_date = written.as_of_date"
        "  and publications.publication_id = written.publication_id)"
    ).format(table=table.relation)
    rows = connection.execute(find, {"question": question, "older_than": older_than}).fetchall()
    delete = sql.SQL(
        "delete from {table} where as_of_date = %(as_of_date)s"
        " and publication_id = %(publication_id)s and not exists ("
        # asked again: whoever held the lock may have pointed at these rows since they were found
        "  select from ops.publications where question = %(question)s"
        "  and as_of_date = %(as_of_date)s and publication_id = %(publication_id)s)"
    ).format(table=table.relation)
    deleted = 0
    for as_of_date, publication_id in rows:
        given = {"as_of_date": as_of_date, "publication_id": publication_id, "question": question}
        with connection.transaction():
            lock = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
            ((is_free,),) = connection.execute(lock, [_lock_of(question, as_of_date)]).fetchall()
            if is_free:
                deleted += connection.execute(delete, given).rowcount
    return deleted
