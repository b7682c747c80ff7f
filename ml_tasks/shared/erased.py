"""Customers who were erased while a date was being scored: they are not published after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ingest.personal import keyed_hash
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from perennial.settings import Settings


def without_erased(
    settings: Settings, connection: psycopg.Connection[Any], tables: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """The tables without rows of erased customers. Costs nothing while nobody was erased."""
    rows = connection.execute("select keyed_hash from ops.erasures").fetchall()
    erased = {value for (value,) in rows}
    if not erased:
        return dict(tables)
    key = settings.pii_key

    def stays(customer_id: str) -> bool:
        return keyed_hash(key, customer_id.encode()) not in erased

    return {
        name: rows.filter(pa.array(map(stays, rows[CUSTOMER_KEY].to_pylist()), pa.bool_()))
        if CUSTOMER_KEY in rows.column_names
        else rows
        for name, rows in tables.items()
    }
