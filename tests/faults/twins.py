"""Compare two homes: every row of every table, except the stamps of their runs.

Superseded score rows are deleted first, as the report DAG does some hours later.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from datetime import timedelta

import psycopg
from psycopg import sql

from ml_tasks.engine.cleanup import clean_superseded
from perennial.bootstrap import SUPERUSER
from perennial.settings import LAYERS, PII_KEY, Settings

# Ids and times of a run; a row's file is compared by the file's name and content.
STAMPS = {
    *("run_id", "publication_id", "scored_at", "published_at", "built_at", "noted_at"),
    *(
        "checked_at",
        "decided_at",
        "judged_at",
        "alerted_at",
        "rejected_at",
        "reconciled_at",
        "bound_at",
        "passed_at",
        "landed_at",
        "_loaded_at",
        "applied_at",
    ),
    *("_batch_id", "batch_id", "_file_id", "file_id", "supersedes_file_id", "continues_file_id"),
    *("landing_id", "build", "champion_id", "gate_result_id", "alert_id", "status_reason"),
    "build_cycle",
}
FILE_COLUMNS = ("_file_id", "file_id")
# A retry runs its gate again, and another run reconciles the same build again: a result may occur
# twice, but not differ.
ONCE_OR_MORE = {"ops.gate_results", "ops.reconciliations"}
# A build that is repeated after a kill follows itself, so the levels before it differ.
ROWS = {"ops.reject_levels": "anchor not like 'before %'"}
# The undisturbed home has no alerts about disturbed runs. A build that continues an interrupted one
# recomputes the keys that either touched; these notes are no results.
OF_RUNS = {"ops.alerts", "ops.incidents", "intermediate.int_touched_keys"}
# Where a date ran a second time, its second build saw no changed file, and its gates and
# reconciliation ran for that build, too.
OF_NEWEST_BUILD = {
    "staging.stg_ops__landed_files",
    "staging.stg_canonical__changed_keys",
    "intermediate.int_changed_files",
    "intermediate.int_changed_keys",
    "ops.gate_results",
    "ops.reconciliations",
}

Fingerprint = tuple[int, str]  # rows, and a digest of them in any order


def share_key(one: Settings, other: Settings) -> None:
    """Copy one home's hashing key to the other; call it before anything is landed."""
    shutil.copy(one.secrets_dir / PII_KEY, other.secrets_dir / PII_KEY)


def differences(one: Settings, other: Settings, but: Collection[str] = ()) -> list[str]:
    """Descriptions of the differences, except in the tables `but`."""
    for home in (one, other):
        clean_superseded(home, timedelta(0))
    here, there = contents(one), contents(other)
    assert sum(rows for rows, _ in here.values()) > 0, "an empty home proves nothing"
    found = [f"only in one home: {name}" for name in sorted(here.keys() ^ there.keys())]
    for name in sorted((here.keys() & there.keys()) - set(but)):
        if here[name] != there[name]:
            found.append(f"{name}: {here[name]} and {there[name]}")
    return found


def contents(settings: Settings) -> dict[str, Fingerprint]:
    """Row count and digest of each table and view of the warehouse and of MLflow's registry."""
    with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        found = {
            f"{schema}.{name}": _fingerprint(connection, schema, name, columns)
            for schema, name, columns in _relations(connection)
            if f"{schema}.{name}" not in OF_RUNS
        }
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        for title, query in _REGISTRY.items():
            found[f"mlflow.{title}"] = _digest(connection, sql.SQL(query))
    return found


def row_count(settings: Settings) -> int:
    """Number of rows of all compared tables and views."""
    return sum(rows for rows, _ in contents(settings).values())


def _relations(connection: psycopg.Connection) -> Iterator[tuple[str, str, list[str]]]:
    yield from connection.execute(
        """
        select nspname, relname, array_agg(attname::text order by attname)
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where relkind in ('r', 'p', 'v') and not relispartition and nspname = any(%s)
        group by nspname, relname
        """,
        [[*LAYERS, "ops", "vault"]],
    ).fetchall()


def _fingerprint(
    connection: psycopg.Connection, schema: str, name: str, columns: list[str]
) -> Fingerprint:
    kept = [sql.Identifier(column) for column in columns if column not in STAMPS]
    kept += [
        sql.SQL(
            "(select regexp_replace(file_name, '.*/', '') || content_sha256"
            " from ops.landed_files as of_row where of_row.file_id = compared.{})"
        ).format(sql.Identifier(column))
        for column in columns
        if column in FILE_COLUMNS
    ]
    distinct = sql.SQL("distinct" if f"{schema}.{name}" in ONCE_OR_MORE else "all")
    return _digest(
        connection,
        sql.SQL("select {} row({})::text as line from {} as compared where {}").format(
            distinct,
            sql.SQL(", ").join(kept),
            sql.Identifier(schema, name),
            sql.SQL(ROWS.get(f"{schema}.{name}", "true")),
        ),
    )


def _digest(connection: psycopg.Connection, lines: sql.Composable) -> Fingerprint:
    row = connection.execute(
        sql.SQL(
            "select count(*), coalesce(sum(hashtextextended(line, 0)), 0)::text from ({}) as lines"
        ).format(lines)
    ).fetchone()
    assert row is not None
    return row


# What serves: a version that was registered, and what is called champion.
_REGISTRY = {
    "versions": "select row(name, key, value)::text as line from model_version_tags",
    "aliases": """
        select row(name, alias, value)::text as line
        from registered_model_aliases
        join model_version_tags using (name, version)
        where key = 'model_version'
    """,
}
