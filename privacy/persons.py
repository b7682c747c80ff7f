"""Whom one means, and where a customer's rows are.

Up to raw the source's contract says which column is the customer key, and how it may be written.
Behind it every table calls the key `customer_id`; so tables are found by that name, and a new
question's tables need nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ingest.personal import hashed, keyed_hash
from perennial import sources
from perennial.casts import casts
from perennial.contracts import CUSTOMER_KEY
from perennial.ids import plain_customer_id
from perennial.settings import Settings
from perennial.sources import SourceTable

BUILT = ("staging", "intermediate", "marts")
LAYERS = (*BUILT, "features", "scores")
NOBODY = "nobody has that key: mind upper and lower case, and that the shop's own key is meant"


class PrivacyError(ValueError):
    """Nothing was done, or something is left; the message names no customer."""


@dataclass(frozen=True)
class Person:
    """A customer, by the key as staging and all behind it have it, and by that key's keyed hash."""

    customer_id: str
    keyed_hash: str


def person(settings: Settings, given: str) -> Person:
    """Whom a key means; a shop whose key is an e-mail address may be given the address.

    Raises:
        PrivacyError: If no key was given, or the source does not say which column is the key.
    """
    columns = [table.customer_key for table in keyed_tables(settings) if table.customer_key]
    if not columns:
        raise PrivacyError(
            f"no column of {settings.staging_source}__sources.yml has `customer_key: true`, so "
            "nobody knows whose a row is (docs/privacy.md)"
        )
    column = columns[0]
    key = plain_customer_id(given)
    if not key:
        raise PrivacyError("CUSTOMER is empty: give the customer's key, as the shop writes it")
    if column.is_pii and "@" in key:
        key = hashed(settings.pii_key, key)
    return Person(key, keyed_hash(settings.pii_key, key.encode()))


def keyed_tables(settings: Settings) -> list[SourceTable]:
    """The shop's tables whose rows are somebody's."""
    return [t for t in sources.load(settings.staging_source).tables if t.customer_key]


def relation(table: SourceTable) -> sql.Identifier:
    """A shop's table in raw."""
    return sql.Identifier("raw", table.raw_table)


def is_theirs(table: SourceTable) -> sql.Composed:
    """Condition on a row of raw; takes the key as `%(customer_id)s`."""
    column = table.customer_key
    assert column is not None
    plain = casts("UTC").as_customer_id(sql.Identifier(column.name).as_string())
    return sql.SQL("{} = %(customer_id)s").format(sql.SQL(plain.replace("%", "%%")))


def tables_behind(
    connection: psycopg.Connection[Any], schemas: tuple[str, ...] = LAYERS
) -> list[tuple[str, str]]:
    """Schema and name of each table from staging to scores whose rows are somebody's."""
    return connection.execute(
        """
        select nspname, relname
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        join pg_namespace on pg_namespace.oid = relnamespace
        where
            attname = %s and nspname = any(%s)
            and relkind in ('r', 'p', 'm') and not relispartition
        order by array_position(%s::text[], nspname::text), relname
        """,
        [CUSTOMER_KEY, list(schemas), list(schemas)],
    ).fetchall()


def count_rows(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> dict[str, int]:
    """The customer's rows by table, tables without any left out."""
    key = {"customer_id": who.customer_id}
    counts = {}
    for table in keyed_tables(settings):
        query = sql.SQL("select count(*) from {} where {}").format(
            relation(table), is_theirs(table)
        )
        counts[f"raw.{table.raw_table}"] = _one(connection, query, key)
    for schema, name in tables_behind(connection):
        query = sql.SQL("select count(*) from {} where customer_id = %(customer_id)s").format(
            sql.Identifier(schema, name)
        )
        counts[f"{schema}.{name}"] = _one(connection, query, key)
    return {name: count for name, count in counts.items() if count}


def personal_values(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> dict[tuple[str, str], list[str]]:
    """The hashes that stand in the customer's rows of raw, by table and column."""
    found = {}
    for table in keyed_tables(settings):
        for column in table.pii_columns:
            query = sql.SQL("select distinct {0} from {1} where {2} and {0} <> ''").format(
                sql.Identifier(column.name), relation(table), is_theirs(table)
            )
            rows = connection.execute(query, {"customer_id": who.customer_id}).fetchall()
            found[table.raw_table, column.name] = sorted(value for (value,) in rows)
    return found


def originals(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> list[dict[str, Any]]:
    """What the shop wrote where raw has the customer's hashes, as far as it has not expired.

    Returns:
        table_name, column_name, keyed_hash, value and landed_at of each, fit for JSON.
    """
    found: list[dict[str, Any]] = []
    for (table, column), hashes in personal_values(connection, settings, who).items():
        rows = connection.execute(
            "select jsonb_build_object('table_name', table_name, 'column_name', column_name,"
            " 'keyed_hash', keyed_hash, 'value', convert_from(value, 'UTF8'),"
            " 'landed_at', landed_at) from vault.originals"
            " where table_name = %s and column_name = %s and keyed_hash = any(%s)"
            " order by landed_at, keyed_hash",
            [table, column, hashes],
        )
        found += [row for (row,) in rows]
    return found


def _one(connection: psycopg.Connection[Any], query: sql.Composed, values: dict[str, str]) -> int:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]
