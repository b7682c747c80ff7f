"""Erase a customer's rows, table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ingest.ledger import LOCK
from ingest.personal import WHOLE_RECORD
from ml_tasks.engine.checksum import checksum_in_force
from ml_tasks.engine.lock import one_publish_at_a_time
from perennial import contracts
from perennial.contracts import CUSTOMER_KEY
from privacy.persons import (
    Person,
    PrivacyError,
    is_theirs,
    keyed_tables,
    originals,
    person,
    personal_values,
    relation,
    tables_behind,
)
from privacy.search import as_bytes_pattern

if TYPE_CHECKING:
    from datetime import date

    from perennial.contracts import Contract, ScoreTable
    from perennial.settings import Settings

REJECTED = "rejected:"
ERASED = b"erased"
DAG = "erase_customer"
FORGOTTEN = "erased"  # replaces the key in a run's parameters


@contextmanager
def no_landing(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Open a transaction that excludes landings and changes of a batch's status."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext(%s))", [LOCK])
        yield


def in_clear(connection: psycopg.Connection[Any], settings: Settings, who: Person) -> list[str]:
    """The customer's personal values in clear text (such as addresses) that the vault still has."""
    return sorted({row["value"].strip() for row in originals(connection, settings, who)})


def count_rejected(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> dict[str, int]:
    """Count unreadable records that contain the customer's key or a personal value, by table."""
    pattern = as_bytes_pattern([who.customer_id, *in_clear(connection, settings, who)])
    counts = {}
    for name, query in {
        "ops.rejected_lines": "select count(*) from ops.rejected_lines"
        " where encode(content, 'escape') ~* %s",
        "vault.originals": "select count(*) from vault.originals"
        f" where column_name = '{WHOLE_RECORD}' and encode(value, 'escape') ~* %s",
    }.items():
        row = connection.execute(query, [pattern]).fetchone()
        if row and row[0]:
            counts[f"{REJECTED} {name}"] = row[0]
    return counts


def erase_raw(
    connection: psycopg.Connection[Any],
    settings: Settings,
    who: Person,
) -> list[str]:
    """Empty the customer's key and personal columns in raw, and delete the originals in the vault.

    In tables that describe customers, every column is emptied. Rows stay, so that their number
    still equals the count in ops.landed_files. An original is kept if another customer has the
    same value.

    Returns:
        The deleted originals.
    """
    key = {"customer_id": who.customer_id}
    personal = personal_values(connection, settings, who)
    pattern = as_bytes_pattern([who.customer_id, *in_clear(connection, settings, who)])
    gone: set[str] = set()
    for table in keyed_tables(settings):
        columns = [
            column.name
            for column in table.columns
            if column.is_customer_key or column.is_pii or table.describes_customers
        ]
        connection.execute(
            sql.SQL("update {} set {} where {}").format(
                relation(table),
                sql.SQL(", ").join(
                    sql.SQL("{} = null").format(sql.Identifier(name)) for name in columns
                ),
                is_theirs(table),
            ),
            key,
        )
    for (table_name, column_name), hashes in personal.items():
        deleted = connection.execute(
            sql.SQL(
                "delete from vault.originals where table_name = %s and column_name = %s"
                " and keyed_hash = any(%s) and not exists ("
                " select from {} as t where t.{} = originals.keyed_hash)"
                " returning convert_from(value, 'UTF8')"
            ).format(sql.Identifier("raw", table_name), sql.Identifier(column_name)),
            [table_name, column_name, hashes],
        )
        gone |= {value.strip() for (value,) in deleted}
    connection.execute(
        "delete from vault.originals where column_name = %s and encode(value, 'escape') ~* %s",
        [WHOLE_RECORD, pattern],
    )
    connection.execute(
        "update ops.rejected_lines set content = %s where encode(content, 'escape') ~* %s",
        [ERASED, pattern],
    )
    return sorted(gone)


def erase_features(connection: psycopg.Connection[Any], who: Person) -> None:
    """Delete the customer's features and outcomes of all dates."""
    for schema, name in tables_behind(connection, ("features",)):
        connection.execute(
            sql.SQL("delete from {} where customer_id = %s").format(sql.Identifier(schema, name)),
            [who.customer_id],
        )


def erase_scores(connection: psycopg.Connection[Any], who: Person) -> None:
    """Delete the customer's rows from every publication, valid or superseded.

    Each date is one transaction, which also corrects the counts in ops.publications. Score parts
    that are not published yet are deleted as a whole; the publishing task makes them again.
    """
    connection.execute("delete from ops.score_parts")
    for question in contracts.published():
        contract = contracts.load(question)
        tables = [table for table in contract.tables if CUSTOMER_KEY in table.column_names]
        for as_of_date in _dates(connection, tables, who):
            with one_publish_at_a_time(connection, question, as_of_date), connection.transaction():
                _erase_date(connection, contract, tables, as_of_date, who)


def _dates(
    connection: psycopg.Connection[Any], tables: Sequence[ScoreTable], who: Person
) -> list[date]:
    dates: set[date] = set()
    for table in tables:
        query = sql.SQL("select distinct as_of_date from {} where customer_id = %s").format(
            table.relation
        )
        dates |= {day for (day,) in connection.execute(query, [who.customer_id])}
    return sorted(dates)


def _erase_date(
    connection: psycopg.Connection[Any],
    contract: Contract,
    tables: Sequence[ScoreTable],
    as_of_date: date,
    who: Person,
) -> None:
    pointer = connection.execute(
        "select publication_id, row_counts from ops.publications"
        " where question = %s and as_of_date = %s for update",
        [contract.question, as_of_date],
    ).fetchone()
    in_force, row_counts = pointer or (None, None)
    gone: dict[str, int] = {}
    for table in tables:
        deleted = connection.execute(
            sql.SQL(
                "delete from {} where as_of_date = %s and customer_id = %s returning publication_id"
            ).format(table.relation),
            [as_of_date, who.customer_id],
        ).fetchall()
        gone[table.name] = deleted.count((in_force,))
    if row_counts and any(gone.values()):
        left = {name: count - gone.get(name, 0) for name, count in row_counts.items()}
        connection.execute(
            "update ops.publications set row_count = row_count - %s, row_counts = %s,"
            " erased_count = erased_count + %s, checksum = %s"
            " where question = %s and as_of_date = %s",
            [
                *(sum(gone.values()), Jsonb(left), sum(gone.values())),
                checksum_in_force(connection, contract, as_of_date),
                *(contract.question, as_of_date),
            ],
        )


def forget_parameters(settings: Settings, who: Person) -> None:
    """Replace the key in Airflow's database, in the parameters of runs about the customer.

    All spellings of the key are replaced, since a dry run may have had another one; and in runs of
    any state, since one may still wait for an answer when `make erase` erases the customer.
    """
    with psycopg.connect(settings.dsn("airflow", "airflow")) as connection:
        if connection.execute("select to_regclass('public.dag_run')").fetchone() == (None,):
            return  # Airflow never ran in this home
        used = connection.execute(
            "select conf::jsonb ->> 'customer_id' from dag_run where dag_id = %(dag)s"
            " union select extra::jsonb #>> '{conf,customer_id}' from log where dag_id = %(dag)s"
            " and pg_input_is_valid(extra, 'jsonb')",
            {"dag": DAG},
        ).fetchall()
        keys = [key for (key,) in used if key and _means(settings, key, who)]
        connection.execute(
            "update dag_run set conf = conf::jsonb || jsonb_build_object('customer_id', %s::text)"
            " where dag_id = %s and conf::jsonb ->> 'customer_id' = any(%s)",
            [FORGOTTEN, DAG, keys],
        )
        # Airflow's audit log contains the request's body
        connection.execute(
            "update log set extra ="
            " jsonb_set(extra::jsonb, '{conf,customer_id}', to_jsonb(%s::text))"
            " where dag_id = %s and case when pg_input_is_valid(extra, 'jsonb')"
            " then extra::jsonb #>> '{conf,customer_id}' end = any(%s)",
            [FORGOTTEN, DAG, keys],
        )


def _means(settings: Settings, key: str, who: Person) -> bool:
    try:
        return person(settings, key) == who
    except PrivacyError:  # a key of blanks
        return False
