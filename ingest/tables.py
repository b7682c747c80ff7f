"""Land from tables that are in the warehouse already: FILES=table:SCHEMA.

Each table of the source has a table or view of the same name in that schema. Rows are copied inside
Postgres. The digest of a table, which stands for a file's digest, is built from sums of two hashes
of each row, so it does not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from ingest.files import TABLE_PREFIX, Content, LandingError
from ingest.ledger import (
    LandedFile,
    Landing,
    current_version,
    enter_counts,
    known_file,
    landing_transaction,
    next_batch_id,
    register,
    same_content,
)
from ingest.personal import Screen, screening_of
from ingest.rows import Layout, Trace, csv_field, listed, missing_columns
from ingest.schema_change import kept_names, note_columns
from ingest.versions import Verdict, compare
from perennial.settings import Settings
from perennial.sources import Source, SourceTable
from perennial.warehouse import copy_in

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class _Relation:
    """A table or view of the shop that holds a table of the source."""

    schema: str
    table: SourceTable
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{TABLE_PREFIX}{self.schema}.{self.table.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.table.name)

    @property
    def landed(self) -> list[tuple[str, str]]:
        """Columns that land: name in the shop's table, name in raw."""
        return [
            (column.header, column.name)
            for column in self.table.columns
            if column.header in self.columns
        ]

    @property
    def layout(self) -> Layout:
        """Layout of a file with the landed columns."""
        headers, names = zip(*self.landed, strict=True)
        return Layout(headers, names)

    @property
    def ignored(self) -> list[str]:
        ours = {column.header for column in self.table.columns}
        return [column for column in self.columns if column not in ours]


def land_tables(
    settings: Settings, source: Source, as_of_date: date, files: str, run_id: str
) -> Landing:
    """Land what changed in the tables; arguments and errors as for ingest.land.land."""
    batch_id, landed = None, []
    with landing_transaction(settings) as connection:
        screening = screening_of(settings, connection)
        for relation in _relations(connection, source, files, as_of_date):
            content, row_count, verdict = _examine(connection, source.name, relation)
            if verdict.known is not None:
                landed.append(known_file(relation.name, relation.table, verdict.known))
                continue
            batch_id = batch_id or next_batch_id(connection)
            file_id = register(
                connection,
                (batch_id, source.name, relation.table.raw_table, relation.name),
                (content.sha256, content.byte_count, verdict),
                (as_of_date, run_id),
            )
            trace = Trace(batch_id, file_id)
            screen = screening(relation.table, relation.layout)
            if screen is None:
                count = _copy_rows(connection, relation, trace)
            else:
                count = _copy_screened(connection, relation, trace, screen)
            enter_counts(connection, relation.name, file_id, row_count, count, 0)
            place = (source.name, relation.table, relation.name, file_id)
            warnings = note_columns(connection, place, relation.columns)
            landed.append(replace(_report(relation, file_id, count, verdict), warnings=warnings))
    return Landing(batch_id, tuple(landed))


def tables_have_news(settings: Settings, source: Source, as_of_date: date, files: str) -> bool:
    """Whether landing the tables would land anything."""
    with landing_transaction(settings) as connection:
        return any(
            _examine(connection, source.name, relation)[2].known is None
            for relation in _relations(connection, source, files, as_of_date)
        )


def _relations(
    connection: psycopg.Connection[Any], source: Source, files: str, as_of_date: date
) -> list[_Relation]:
    """Check every table before the first row is written; leave out missing optional tables.

    Raises:
        LandingError: If a table is missing, may not be read or lacks a column.
    """
    schema = files.removeprefix(TABLE_PREFIX).replace("{as_of_date}", as_of_date.isoformat())
    relations = [_relation(connection, schema, table) for table in source.tables]
    return [relation for relation in relations if relation is not None]


def _relation(
    connection: psycopg.Connection[Any], schema: str, table: SourceTable
) -> _Relation | None:
    name = f"{TABLE_PREFIX}{schema}.{table.name}"
    row = connection.execute(
        """
        select
            pg_class.oid,
            has_schema_privilege(pg_namespace.oid, 'usage')
                and has_table_privilege(pg_class.oid, 'select')
        from pg_catalog.pg_class
        join pg_catalog.pg_namespace on pg_namespace.oid = pg_class.relnamespace
        where nspname = %s and relname = %s and relkind in ('r', 'p', 'v', 'm', 'f')
        """,
        [schema, table.name],
    ).fetchone()
    if row is None and table.is_optional:
        return None
    if row is None:
        raise LandingError(
            f"{name}: there is no such table or view in the warehouse. FILES={TABLE_PREFIX}SCHEMA "
            "needs one for each table of the source; a view over your own tables will do"
        )
    oid, may_read = row
    if not may_read:
        raise LandingError(
            f"{name}: role loader may not read it. As its owner: grant usage on schema {schema} to "
            f"loader; grant select on all tables in schema {schema} to loader"
        )
    columns = connection.execute(
        "select attname from pg_catalog.pg_attribute where attrelid = %s and attnum > 0"
        " and not attisdropped order by attnum",
        [oid],
    ).fetchall()
    names = tuple(column for (column,) in columns)
    missing = missing_columns(table, names)
    if missing:
        raise LandingError(
            f"{name} lacks the columns {listed(missing)}; it has "
            f"{listed(names)}. Create a view with the source's column names over it"
        )
    return _Relation(schema, table, names)


def _examine(
    connection: psycopg.Connection[Any], source: str, relation: _Relation
) -> tuple[Content, int, Verdict]:
    fields = [sql.SQL("{}::text").format(sql.Identifier(name)) for name, _ in relation.landed]
    statement = sql.SQL(
        """
        select
            count(*),
            coalesce(sum(octet_length(line)), 0),
            coalesce(sum(hashtextextended(line, 0)), 0),
            coalesce(sum(hashtextextended(line, 1)), 0)
        from (select row({})::text as line from {}) as lines
        """
    ).format(sql.SQL(", ").join(fields), relation.identifier)
    row = connection.execute(statement).fetchone()
    assert row is not None
    columns = ",".join(name for _, name in relation.landed)
    digest = hashlib.sha256(f"{columns}:{row}".encode()).hexdigest()
    row_count, byte_count = int(row[0]), int(row[1])
    content = Content(digest, byte_count, row_count)
    table = relation.table.raw_table
    current = current_version(connection, source, table, relation.name)
    same = same_content(connection, source, table, digest)
    return content, row_count, compare(relation.name, "table", content, current, same)


def _copy_rows(connection: psycopg.Connection[Any], relation: _Relation, trace: Trace) -> int:
    targets = [*Trace.columns, *(name for _, name in relation.landed)]
    fields = [sql.SQL("{}::text").format(sql.Identifier(name)) for name, _ in relation.landed]
    statement = sql.SQL(
        "insert into {} ({}) select row_number() over (), {}, {}, now(), {} from {}"
    ).format(
        sql.Identifier("raw", relation.table.raw_table),
        sql.SQL(", ").join(map(sql.Identifier, targets)),
        sql.Literal(trace.batch_id),
        sql.Literal(trace.file_id),
        sql.SQL(", ").join(fields),
        relation.identifier,
    )
    return connection.execute(statement).rowcount


def _copy_screened(
    connection: psycopg.Connection[Any], relation: _Relation, trace: Trace, screen: Screen
) -> int:
    """Copy the rows through this process, which alone has the key of the hashes."""
    layout = relation.layout
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier("raw", relation.table.raw_table),
        sql.SQL(", ").join(map(sql.Identifier, [*Trace.columns, *layout.landed_columns])),
    )
    fields = [sql.SQL("{}::text").format(sql.Identifier(name)) for name in layout.headers]
    query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(fields), relation.identifier)
    stamp, count = trace.stamp(layout.delimiter), 0
    with connection.cursor("rows_of_a_table") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            values = (",".join(map(csv_field, row)).encode() for row in rows)
            lines = (stamp % pair for pair in enumerate(values, start=count + 1))
            count += copy_in(connection, statement, [screen.rows(b"".join(lines))])
    screen.fill_vault(connection, trace.file_id)
    return count


def _report(relation: _Relation, file_id: int, count: int, verdict: Verdict) -> LandedFile:
    note = "landed"
    if verdict.supersedes_file_id is not None:
        note = f"changed: replaces file {verdict.supersedes_file_id} once it is accepted"
    log.info("%s: %s, %d landed", relation.name, note, count)
    ignored = kept_names(relation.ignored)
    return LandedFile(relation.name, relation.table.name, file_id, count, count, 0, ignored, note)
