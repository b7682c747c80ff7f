"""Resolve a customer's key, and list the tables with rows of customers.

In raw, the source's yml marks the column with the customer key, and how it may be written. From
staging on, every table calls the key `customer_id`, so tables are looked up by that name and the
tables of a new question need no change here.
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
NOBODY = "no customer has that key: check upper and lower case, and that it is the shop's own key"


class PrivacyError(ValueError):
    """Nothing was changed, or some data is left; the message does not name the customer."""


@dataclass(frozen=True)
class Person:
    """A customer: the key as in staging and all later tables, and the keyed hash of that key."""

    customer_id: str
    keyed_hash: str


def person(settings: Settings, given: str) -> Person:
    """Resolve a key to a customer, who need not exist.

    Args:
        settings: Settings of the home.
        given: The key as the shop writes it; where raw holds hashed e-mail addresses as keys, the
            address or its hash.

    Raises:
        PrivacyError: If the key is empty, or no column of the source is marked as the key.
    """
    columns = [table.customer_key for table in keyed_tables(settings) if table.customer_key]
    if not columns:
        raise PrivacyError(
            f"no column of {settings.staging_source}__sources.yml has `customer_key: true`, so the "
            "customer of a row is not known (docs/privacy.md)"
        )
    column = columns[0]
    key = plain_customer_id(given)
    if not key:
        raise PrivacyError("CUSTOMER is empty: give the customer's key, as the shop writes it")
    if column.is_pii and "@" in key:
        key = hashed(settings.pii_key, key)
    return Person(key, keyed_hash(settings.pii_key, key.encode()))


def keyed_tables(settings: Settings) -> list[SourceTable]:
    """The source's tables with a customer key."""
    return [t for t in sources.load(settings.staging_source).tables if t.customer_key]


def relation(table: SourceTable) -> sql.Identifier:
    """Identifier of a source's table in raw."""
    return sql.Identifier("raw", table.raw_table)


def is_theirs(table: SourceTable) -> sql.Composed:
    """SQL condition that a row of raw is the customer's, with parameter `%(customer_id)s`."""
    column = table.customer_key
    assert column is not None
    plain = casts("UTC").as_customer_id(sql.Identifier(column.name).as_string())
    return sql.SQL("{} = %(customer_id)s").format(sql.SQL(plain.replace("%", "%%")))


def tables_behind(
    connection: psycopg.Connection[Any], schemas: tuple[str, ...] = LAYERS
) -> list[tuple[str, str]]:
    """Schema and name of each table of `schemas` with a column customer_id."""
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
    """Count the customer's rows by table; tables without any are left out."""
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
    """Hashes of personal values in the customer's rows of raw, by raw table and column."""
    hashes = {}
    for table in keyed_tables(settings):
        for column in table.pii_columns:
            query = sql.SQL("select distinct {0} from {1} where {2} and {0} <> ''").format(
                sql.Identifier(column.name), relation(table), is_theirs(table)
            )
            rows = connection.execute(query, {"customer_id": who.customer_id}).fetchall()
            hashes[table.raw_table, column.name] = sorted(value for (value,) in rows)
    return hashes


def originals(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> list[dict[str, Any]]:
    """Read the original values of the customer's hashes in raw, unless they have expired.

    Returns:
        One dict a value, JSON-able: table_name, column_name, keyed_hash, value, landed_at.
    """
    values: list[dict[str, Any]] = []
    for (table, column), hashes in personal_values(connection, settings, who).items():
        rows = connection.execute(
            "select jsonb_build_object('table_name', table_name, 'column_name', column_name,"
            " 'keyed_hash', keyed_hash, 'value', convert_from(value, 'UTF8'),"
            " 'landed_at', landed_at) from vault.originals"
            " where table_name = %s and column_name = %s and keyed_hash = any(%s)"
            " order by landed_at, keyed_hash",
            [table, column, hashes],
        )
        values += [row for (row,) in rows]
    return values


def _one(connection: psycopg.Connection[Any], query: sql.Composed, values: dict[str, str]) -> int:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]
