"""Counts and checksums of published rows. Equal rows have equal checksums, in any order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ml_tasks.engine.contract_check import checked
from ml_tasks.engine.rows_csv import ROWS_AT_ONCE, csv, stamped
from perennial.contracts import RUN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import psycopg

    from perennial.contracts import Contract, ScoreTable


@dataclass
class Written:
    """Counts and digest of the rows written to a table.

    Attributes:
        rows: Number of rows.
        not_scored: Number of rows without a score.
        digest: Sum of the SHA-256 of each CSV line without RUN_COLUMNS, as four numbers of 64 bits,
            each modulo 2 ** 64. Equal rows have equal digests, in any order.
    """

    rows: int = 0
    not_scored: int = 0
    digest: np.ndarray = field(default_factory=lambda: np.zeros(4, dtype=np.uint64))

    def add(self, rows: pa.Table, lines_csv: bytes) -> None:
        """Count rows.

        Args:
            rows: The rows, from `stamped`.
            lines_csv: The same rows as CSV.
        """
        self.rows += rows.num_rows
        self.not_scored += pc.sum(pc.equal(rows["score_status"], "not_scored")).as_py() or 0
        lines = b"".join(hashlib.sha256(line).digest() for line in lines_csv.splitlines())
        self.digest += np.frombuffer(lines, dtype="<u8").reshape(-1, 4).sum(axis=0)


def checksum(written: Mapping[str, Written]) -> str:
    """Checksum of a publication, in hexadecimal.

    Args:
        written: Table -> its rows' digest.
    """
    digests = "".join(f"{name} {one.digest.tolist()}\n" for name, one in sorted(written.items()))
    return hashlib.sha256(digests.encode()).hexdigest()


def checksum_in_force(
    connection: psycopg.Connection[Any], contract: Contract, as_of_date: date
) -> str:
    """Checksum of the valid publication of a date, computed from the rows in the tables now."""
    query = "select publication_id, model_name, model_version from ops.publications"
    (pointer,) = connection.execute(
        query + " where question = %s and as_of_date = %s", [contract.question, as_of_date]
    ).fetchall()
    publication_id, model_name, model_version = pointer
    if contract.is_in_sql:
        given = (connection, as_of_date, publication_id)
        return checksum({table.name: written_in(table, *given) for table in contract.tables})
    written = {}
    for table in contract.tables:
        written[table.name] = Written()
        columns = [sql.Identifier(column.name) for column in table.question_columns]
        rows = sql.SQL("select {} from {} where as_of_date = %s and publication_id = %s").format(
            sql.SQL(", ").join(columns), table.relation
        )
        with connection.transaction(), connection.cursor("of a publication") as cursor:
            cursor.execute(rows, [as_of_date, publication_id])
            names = [column.name for column in cursor.description or ()]
            while part := cursor.fetchmany(ROWS_AT_ONCE):
                frame = pd.DataFrame(part, columns=names)
                rows_of = stamped(
                    checked(frame, table), table, as_of_date, model_name, model_version
                )
                written[table.name].add(rows_of, csv(rows_of))
    return checksum(written)


def written_in(
    table: ScoreTable, connection: psycopg.Connection[Any], as_of_date: date, publication_id: int
) -> Written:
    """Counts of the rows of a publication, and the sum of their SHA-256, see `Written.digest`.

    Args:
        table: Contract of the table.
        connection: Role scorer.
        as_of_date: The scored date.
        publication_id: The publication.
    """
    columns = [sql.Identifier(name) for name in table.column_names if name not in RUN_COLUMNS]
    words = [
        sql.SQL("coalesce(sum(('x' || substr(digest, {}, 16))::bit(64)::bigint::numeric), 0)")
        .format(sql.Literal(1 + 16 * word))
        for word in range(4)
    ]  # fmt: skip
    query = sql.SQL(
        "select count(*), count(*) filter (where score_status = 'not_scored'), {words} from ("
        " select score_status,"
        "  encode(sha256(convert_to(row({columns})::text, 'UTF8')), 'hex') as digest from {table}"
        "  where as_of_date = {day} and publication_id = {publication_id}) as rows"
    ).format(
        words=sql.SQL(", ").join(words),
        columns=sql.SQL(", ").join(columns),
        table=table.relation,
        day=sql.Literal(as_of_date),
        publication_id=sql.Literal(publication_id),
    )
    ((count, not_scored, *digest),) = connection.execute(query).fetchall()
    return Written(count, not_scored, np.array([int(word) % 2**64 for word in digest], np.uint64))
