"""Delete old months of scores, and old rows of ops about past runs.

Raw, marts and features are kept whole, since scores and rebuilds need them. The originals of
personal values have a retention of their own (privacy/vault.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg

from perennial.contracts import load, published
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

log = logging.getLogger(__name__)


def expire_old(settings: Settings) -> dict[str, list[str] | dict[str, int]]:
    """Drop months of scores and delete rows of ops that are older than their retention.

    Of a question whose contract says `kept_days`, older dates are deleted too, but the first of
    each month. Months and days are counted back from a question's newest published date, not from
    today: a shop without new orders loses nothing. If a reader has locked a question's tables, the
    question is put off to the next run.

    Returns:
        JSON-able: `dropped_months` (partitions), `put_off` (questions), `deleted` (rows of ops by
        table, and dates by question).
    """
    dropped: list[str] = []
    put_off: list[str] = []
    deleted: dict[str, int] = {}
    with connect(settings, "scorer", autocommit=True) as connection:
        for question in published() if settings.keep_scores_months else ():
            tables = [table.name for table in load(question).tables]
            try:
                rows = connection.execute(
                    "select scores.expire(%s, %s, %s)",
                    [question, tables, settings.keep_scores_months],
                ).fetchall()
                dropped += [name for (name,) in rows]
            except psycopg.errors.LockNotAvailable:
                put_off.append(question)
        deleted |= _thinned(connection)
        if settings.keep_ops_days:
            expired = connection.execute("select * from ops.expire(%s)", [settings.keep_ops_days])
            deleted |= dict(expired.fetchall())
    log.info("dropped %s, put off %s, deleted %s", dropped, put_off, deleted)
    return {"dropped_months": dropped, "put_off": put_off, "deleted": deleted}


def _thinned(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Question -> number of deleted dates, for questions with `kept_days`."""
    counts: dict[str, int] = {}
    for question in published():
        contract = load(question)
        if contract.kept_days:
            tables = [table.name for table in contract.tables]
            dates = connection.execute(
                "select scores.thin(%s, %s, %s)", [question, tables, contract.kept_days]
            ).fetchall()
            counts |= {question: len(dates)} if dates else {}
    return counts
