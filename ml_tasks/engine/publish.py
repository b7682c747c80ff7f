"""Publish scores: check, write beside, gate, switch one pointer. The only writer of `scores`.

Readers see the old rows or the new ones: views read through ops.publications, and one transaction
points it at the new publication once its rows have passed the gate. A failure before that leaves
the old pointer, and `cleanup` deletes the new rows later. Only publishing reads the clock, the
database's.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from psycopg.types.json import Jsonb

from expectations.scores import gate_scores
from ml_tasks.engine import copying, selecting
from ml_tasks.engine.checksum import Written, checksum
from ml_tasks.engine.contract_check import checked
from ml_tasks.engine.erased import without_erased
from ml_tasks.engine.lock import one_publish_at_a_time
from ml_tasks.engine.rows_csv import stamped
from ml_tasks.engine.selecting import Queries
from perennial.contracts import Contract, ContractError
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping

    import psycopg

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

log = logging.getLogger(__name__)

SWITCH = (
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
    " where publications.published_at < coalesce(%(read_at)s::timestamptz, 'infinity')"
)
# The new scores include these late files, but not those that were noted while they were made.
FORGET_LATE = (
    "delete from ops.late_dates where question = %(question)s"
    " and as_of_date = %(as_of_date)s"
    " and file_id = any(coalesce(%(late_file_ids)s::bigint[], array[file_id]))"
)


class OvertakenError(RuntimeError):
    """Another run published the date meanwhile, perhaps with newer features than these rows."""


def publish(
    settings: Settings,
    rows: Iterable[Mapping[str, pd.DataFrame]] | Queries,
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
    run_id: str,
    late_file_ids: Collection[int] | None = None,
    read_at: datetime | None = None,
) -> dict[str, Any]:
    """Replace the scores of a question and date. Returns the summary, see `_gated`.

    Args:
        settings: Settings of the home; rows are written as role scorer.
        rows: Parts, each table -> rows, see `checked`; a table may come in several parts. A thread
            fetches one table ahead of the one that is being written, so two are in memory at a
            time. Or queries, whose rows Postgres makes by itself.
        contract: Contract of the question.
        as_of_date: The scored date.
        model: The model that scored.
        run_id: The run that scored.
        late_file_ids: Late files noted before the features are read; None: all that are noted now.
        read_at: When the run began to read features; None: another publication does not matter.

    Raises:
        ContractError: If the rows break the contract; nothing is written.
        expectations.results.GateFailed: If the gate stops them; readers still see the old rows.
        OvertakenError: If another run published after `read_at`; readers see the other's rows.
    """
    _check_model(contract, as_of_date, model)
    with (
        connect(settings, "scorer", autocommit=True) as connection,
        one_publish_at_a_time(connection, contract.question, as_of_date),
    ):
        written = _written(settings, connection, rows, contract, as_of_date, model, run_id)
        summary = _gated(settings, written, contract, as_of_date, model, run_id)
        _switch(connection, summary, model.training_date, run_id, late_file_ids, read_at)
    log.info("published %s", summary)
    return summary


def _written(
    settings: Settings,
    connection: psycopg.Connection[Any],
    rows: Iterable[Mapping[str, pd.DataFrame]] | Queries,
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
    run_id: str,
) -> tuple[int, dict[str, Written]]:
    """Write the rows under a new publication_id; return it, and table -> counts and digest."""
    if isinstance(rows, Queries):
        return selecting.write(settings, connection, rows, contract, as_of_date, model, run_id)
    with closing(_one_ahead(_ready(rows, contract, as_of_date, model))) as ready:
        tables = ((name, without_erased(settings, connection, table)) for name, table in ready)
        return copying.write(connection, tables, contract, as_of_date, run_id)


def now(connection: psycopg.Connection[Any]) -> datetime:
    """The time of the warehouse's clock, for `read_at`."""
    ((time,),) = connection.execute("select clock_timestamp()").fetchall()
    return time


def _check_model(contract: Contract, as_of_date: date, model: TrainedModel) -> None:
    if (day := model.training_date) > as_of_date:
        raise ContractError(f"{contract.question} {as_of_date}: a model of {day} knows the future")


def _gated(
    settings: Settings,
    publication: tuple[int, dict[str, Written]],
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
    run_id: str,
) -> dict[str, Any]:
    """Run the gate on the rows that were written. Readers do not see them yet.

    Returns:
        JSON-able summary: question, as_of_date, publication_id, model_name, model_version,
        row_counts and not_scored_counts by table, checksum (see `checksum`), warnings of the gate.
    """
    publication_id, written = publication
    row_counts = {name: one.rows for name, one in written.items()}
    gate = gate_scores(settings, contract, as_of_date, publication_id, run_id, row_counts)
    return {
        "question": contract.question,
        "as_of_date": as_of_date.isoformat(),
        "publication_id": publication_id,
        "model_name": model.name,
        "model_version": model.model_version,
        "row_counts": row_counts,
        "not_scored_counts": {name: one.not_scored for name, one in written.items()},
        "checksum": checksum(written),
        "warnings": gate.warnings,
    }


def _ready(
    parts: Iterable[Mapping[str, pd.DataFrame]],
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
) -> Iterator[tuple[str, pa.Table]]:
    """Table name and rows of each part, checked and stamped."""
    tables = {table.name: table for table in contract.tables}
    for frames in parts:
        if unknown := set(frames) - set(tables):
            raise ContractError(f"{contract.question} has no table {', '.join(sorted(unknown))}")
        for name, frame in frames.items():
            rows = checked(frame, tables[name])
            yield name, stamped(rows, tables[name], as_of_date, model.name, model.model_version)


def _one_ahead(
    tables: Iterator[tuple[str, pa.Table]],
) -> Generator[tuple[str, pa.Table], None, None]:
    """The same tables; a thread prepares the next one. Its errors are raised here."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, tables, None)
        while given := coming.result():
            coming = thread.submit(next, tables, None)
            yield given


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
        switched = connection.execute(SWITCH, values)
        if not switched.rowcount:
            raise OvertakenError(
                f"another run published {summary['question']} {summary['as_of_date']} meanwhile"
            )
        connection.execute(FORGET_LATE, values)
