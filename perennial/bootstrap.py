"""First start of a warehouse: roles, databases, schemas, raw and score tables. Safe to run again.

The same steps serve the embedded Postgres and any other: they need a superuser's connection and
a password file for each role.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from perennial import (
    contracts,
    offers,
    public_rights,
    roles,
    schema,
    score_tables,
    shop,
    sources,
)
from perennial.reader_limit import READER, WARDEN
from perennial.roles import CHECKER, OWNER, ROLES, SERVICES, STEP_ROLES, SUPERUSER
from perennial.settings import WAREHOUSE, Settings
from perennial.warehouse import connect

__all__ = ["OWNER", "ROLES", "SUPERUSER", "bootstrap"]

OTHER_DATABASES = ("postgres", "template1")
RAW_TRACE_COLUMNS = {
    "_batch_id": ("bigint", "Batch that landed the row: ops.landed_files.batch_id."),
    "_file_id": ("bigint", "File version that held the row: ops.landed_files.file_id."),
    "_line": ("bigint", "Line on which the record begins, from 1, header included."),
    "_loaded_at": ("timestamptz", "When the row was landed, UTC."),
}


def bootstrap(settings: Settings) -> None:
    """Bring roles, databases and tables to what this version of the code expects.

    Raises:
        SettingsError: If the home is of a newer version, belongs to another shop, or is in use.
    """
    # two starts at once would race in `create ... if not exists`; the locks go with the connections
    lock = "select pg_advisory_lock(hashtext('perennial.bootstrap'))"
    with psycopg.connect(settings.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(lock)
        roles.create_missing(connection)
        _create_databases(connection)
    with psycopg.connect(settings.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute(lock)
        schema.missing(connection, schema.upgrades())  # a newer home is refused as it is
        roles.reset(connection, settings)
        # an erasure waits for builds to end; the watchdog says who has all connections
        watchers = (WARDEN, "eraser", "watcher")
        steps = (OWNER, *STEP_ROLES)
        public_rights.take_back(
            connection, (OWNER, "transformer"), steps, WARDEN, watchers, OTHER_DATABASES
        )
    with connect(settings, OWNER, autocommit=True) as connection:
        connection.execute(lock)
        schema.bring_up_to_date(connection)
        shop.bind(connection, settings)
        for table in sources.load(settings.staging_source).tables:
            _create_raw_table(connection, table)
        for question in contracts.published():
            for score_table in contracts.load(question).tables:
                _create_score_table(connection, score_table)
        offers.note_questions(connection)


def _create_databases(connection: psycopg.Connection) -> None:
    owners = {WAREHOUSE: OWNER} | {service: service for service in SERVICES}
    for database, owner in owners.items():
        name = sql.Identifier(database)
        exists = connection.execute(
            "select 1 from pg_database where datname = %s", [database]
        ).fetchone()
        if not exists:
            connection.execute(
                sql.SQL("create database {} owner {}").format(name, sql.Identifier(owner))
            )
        connection.execute(sql.SQL("revoke all on database {} from public").format(name))
    for role in (*STEP_ROLES, READER, CHECKER, WARDEN):
        connection.execute(
            sql.SQL("grant connect on database {} to {}").format(
                sql.Identifier(WAREHOUSE), sql.Identifier(role)
            )
        )
    # dbt's incremental models put the new rows into a temporary table first
    connection.execute(
        sql.SQL("grant temporary on database {} to transformer").format(sql.Identifier(WAREHOUSE))
    )


def _create_raw_table(connection: psycopg.Connection, table: sources.SourceTable) -> None:
    relation = sql.Identifier("raw", table.raw_table)
    columns = [
        sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(kind))
        for name, (kind, _) in RAW_TRACE_COLUMNS.items()
    ]
    connection.execute(
        sql.SQL("create table if not exists {} ({})").format(relation, sql.SQL(", ").join(columns))
    )
    # its rows are found by file: a build reads only the files that changed
    connection.execute(
        sql.SQL("create index if not exists {} on {} using brin (_file_id)").format(
            sql.Identifier(f"{table.raw_table}_by_file"), relation
        )
    )
    _add_missing(connection, relation, {column.name: "text" for column in table.columns})
    comments = {name: text for name, (_, text) in RAW_TRACE_COLUMNS.items()}
    comments |= {column.name: column.description for column in table.columns}
    with connection.transaction():
        connection.execute(
            sql.SQL("comment on table {} is {}").format(relation, sql.Literal(table.description))
        )
        for column_name, text in comments.items():
            connection.execute(
                sql.SQL("comment on column {}.{} is {}").format(
                    relation, sql.Identifier(column_name), sql.Literal(text)
                )
            )


def _create_score_table(connection: psycopg.Connection, table: contracts.ScoreTable) -> None:
    connection.execute(score_tables.creation(table))
    types = {column.name: column.data_type for column in table.columns}
    _add_missing(connection, table.relation, types)
    with connection.transaction():
        for statement in score_tables.comments(table):
            connection.execute(statement)


def _add_missing(
    connection: psycopg.Connection, relation: sql.Identifier, types: Mapping[str, str]
) -> None:
    """Append the columns (name -> type) that a table lacks."""
    name = relation.as_string(connection)
    found = connection.execute(
        "select attname from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [name],
    ).fetchall()
    there = {column for (column,) in found}
    additions = [
        sql.SQL("add column {} {}").format(sql.Identifier(column), sql.SQL(kind))
        for column, kind in types.items()
        if column not in there
    ]
    if additions:
        statement = sql.SQL("alter table {} {}").format(relation, sql.SQL(", ").join(additions))
        schema.when_free(
            connection, f"a new column of {name}", lambda: connection.execute(statement)
        )
