"""Leave out customers who were erased while their date was being scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingest.personal import keyed_hash
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings


def without_erased(
    settings: Settings, connection: psycopg.Connection[Any], rows: pa.Table
) -> pa.Table:
    """Rows of a score table without those of erased customers. Free if there are no erasures.

    Args:
        settings: Holds the key of the hashes.
        connection: Reads ops.erasures.
        rows: Any columns; returned unchanged without customer_id.
    """
    if CUSTOMER_KEY not in rows.column_names:
        return rows
    erasures = connection.execute("select keyed_hash from ops.erasures").fetchall()
    erased = {value for (value,) in erasures}
    if not erased:
        return rows
    key = settings.pii_key

    def stays(customer_id: str) -> bool:
        return keyed_hash(key, customer_id.encode()) not in erased

    return rows.filter(pa.array(map(stays, rows[CUSTOMER_KEY].to_pylist()), pa.bool_()))
