"""Write score rows by `insert ... select`: rows that SQL alone makes never leave Postgres.

The gate behind scoring checks them like all others, so a bad row is never published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ingest.personal import keyed_hash
from ml_tasks.engine.checksum import written_in
from ml_tasks.engine.copying import analyze, begin
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import psycopg

    from ml_tasks.engine.checksum import Written
    from ml_tasks.trained_model import TrainedModel
    from perennial.contracts import Contract, ScoreTable
    from perennial.settings import Settings


@dataclass(frozen=True)
class Queries:
    """The rows of a question in SQL.

    Attributes:
        of_table: Score table -> query with the question columns of the contract.
    """

    of_table: Mapping[str, sql.Composed]


def write(
    settings: Settings,
    connection: psycopg.Connection[Any],
    queries: Queries,
    contract: Contract,
    as_of_date: date,
    model: TrainedModel,
    run_id: str,
) -> tuple[int, dict[str, Written]]:
    """Insert the rows of each query under a new publication_id, which no reader sees yet.

    Args:
        settings: Holds the key by which erased customers are left out.
        connection: Role scorer, committing each statement.
        queries: One for each table.
        contract: Contract of the question.
        as_of_date: The scored date.
        model: Its name and version are written to the rows.
        run_id: The run that scored.

    Returns:
        The publication_id, and table -> counts and digest.
    """
    publication_id, scored_at = begin(connection, contract, as_of_date)
    stamps = {
        "as_of_date": sql.Literal(as_of_date),
        "model_name": sql.Literal(model.name),
        "model_version": sql.Literal(model.model_version),
        "run_id": sql.Literal(run_id),
        "publication_id": sql.Literal(publication_id),
        "scored_at": sql.Literal(scored_at),
    }
    with connection.transaction():
        for table in contract.tables:
            connection.execute(_insert(table, queries.of_table[table.name], stamps))
            _delete_erased(settings, connection, table, as_of_date, publication_id)
        written = {
            table.name: written_in(table, connection, as_of_date, publication_id)
            for table in contract.tables
        }
    analyze(connection, contract, as_of_date)
    return publication_id, written


def _insert(
    table: ScoreTable, query: sql.Composed, stamps: Mapping[str, sql.Composable]
) -> sql.Composed:
    names = [column.name for column in table.question_columns if column.name not in stamps]
    return sql.SQL(
        "insert into {table} ({columns}, {stamped})"
        " select {columns}, {values} from ({query}) as rows"
    ).format(
        table=table.relation,
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        stamped=sql.SQL(", ").join(map(sql.Identifier, stamps)),
        values=sql.SQL(", ").join(stamps.values()),
        query=query,
    )


def _delete_erased(
    settings: Settings,
    connection: psycopg.Connection[Any],
    table: ScoreTable,
    as_of_date: date,
    publication_id: int,
) -> None:
    """Delete rows of customers who were erased while the query ran. Free without erasures."""
    if CUSTOMER_KEY not in table.column_names:
        return
    erased = {h for (h,) in connection.execute("select keyed_hash from ops.erasures")}
    if not erased:
        return
    own = sql.SQL("{} where as_of_date = %s and publication_id = %s").format(table.relation)
    ids = connection.execute(
        sql.SQL("select distinct customer_id from {}").format(own), [as_of_date, publication_id]
    ).fetchall()
    key = settings.pii_key
    gone = [one for (one,) in ids if keyed_hash(key, one.encode()) in erased]
    connection.execute(
        sql.SQL("delete from {} and customer_id = any(%s)").format(own),
        [as_of_date, publication_id, gone],
    )
