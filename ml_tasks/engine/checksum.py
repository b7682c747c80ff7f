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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import psycopg

    from perennial.contracts import Contract


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
