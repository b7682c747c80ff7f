"""Search for an erased customer: the key and the personal values, as whole words, everywhere.

A key of digits alone occurs in many places by chance: as a price, a count, another thing's number.
Such a key is searched for in columns of customer keys only; any other key is searched for in every
column of text and in the home's files.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ingest import copies
from perennial.contracts import CUSTOMER_KEY
from perennial.warehouse import connect
from privacy.persons import LAYERS, is_theirs, keyed_tables, relation, tables_behind

if TYPE_CHECKING:
    from perennial.settings import Settings
    from privacy.persons import Person

SCHEMAS = ("raw", "vault", *LAYERS, "ops")
FOLDERS = ("dbt", "logs", "run")  # of the home; the files of models may be elsewhere
DATABASE = "postgres"  # in the home: the database's files, or a link to them
SERVER_LOG = "postgres.log"  # beside the database's files
BLOCK_BYTES = 1 << 22
AIRFLOW = "airflow."  # prefix of places in Airflow's database
GZIP_MARK = b"\x1f\x8b"
COLUMNS = """
    select nspname, relname, array_agg(attname::text order by attnum), atttypid::regtype::text
    from pg_attribute
    join pg_class on pg_class.oid = attrelid
    join pg_namespace on pg_namespace.oid = relnamespace
    where
        attnum > 0 and not attisdropped and nspname = any(%(schemas)s)
        and relkind in ('r', 'p', 'm') and not relispartition
        and atttypid::regtype::text = any(%(types)s)
    group by nspname, relname, atttypid
    order by nspname, relname
"""
TYPES = ("text", "text[]", "character varying", "json", "jsonb", "bytea", "uuid")


def as_pattern(texts: Sequence[str]) -> str:
    """Pattern for Postgres that matches any of the texts as a whole word."""
    escaped = (re.sub(r"([^\w\s])", r"\\\1", text, flags=re.ASCII) for text in texts)
    return "|".join(rf"(?:^|[^[:alnum:]]){text}(?:[^[:alnum:]]|$)" for text in escaped)


def as_bytes_pattern(texts: Sequence[str]) -> str:
    """Pattern for Postgres that matches any of the texts in the output of `encode(…, 'escape')`."""
    return as_pattern(["".join(map(_escaped, text.encode())) for text in texts])


def _escaped(byte: int) -> str:
    if byte > 127:
        return f"\\{byte:03o}"
    return "\\\\" if byte == ord("\\") else chr(byte)


def is_unambiguous(word: str) -> bool:
    """Whether a word identifies the customer: a number alone may mean anything."""
    return bool(re.search(r"[^\d.]", word))


def places(settings: Settings, who: Person, others: Sequence[str] = ()) -> list[str]:
    """List the columns and files that still contain the customer.

    Args:
        settings: Settings of the home.
        who: The customer.
        others: The customer's personal values in clear text, such as addresses.

    Returns:
        `schema.table.column` or path of each; empty if the customer is nowhere.
    """
    words = [word for word in (who.customer_id, *others) if is_unambiguous(word)]
    with connect(settings, "eraser") as connection:
        columns = [*_with_key(connection, settings, who)]
        columns += _with_words(connection, SCHEMAS, words)
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        columns += [f"mlflow.{place}" for place in _with_words(connection, ("public",), words)]
    return [*dict.fromkeys(columns), *_files(settings, words), *in_airflow(settings, who, others)]


def in_airflow(settings: Settings, who: Person, others: Sequence[str] = ()) -> list[str]:
    """List the columns of Airflow's database that still contain the customer.

    Airflow keeps runs' parameters, requests for approval, results of tasks and an audit log.
    """
    words = [word for word in (who.customer_id, *others) if is_unambiguous(word)]
    with psycopg.connect(settings.dsn("airflow", "airflow")) as connection:
        return [f"{AIRFLOW}{place}" for place in _with_words(connection, ("public",), words)]


def _with_key(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> Iterator[str]:
    """Yield the columns of customer keys that contain the customer's key."""
    key = {"customer_id": who.customer_id}
    conditions = [
        (("raw", table.raw_table), relation(table), is_theirs(table))
        for table in keyed_tables(settings)
    ]
    by_name = tables_behind(connection, SCHEMAS)
    equals = sql.SQL("{}::text = %(customer_id)s").format(sql.Identifier(CUSTOMER_KEY))
    conditions += [(name, sql.Identifier(*name), equals) for name in by_name]
    for (schema, name), table, condition in conditions:
        query = sql.SQL("select exists(select from {} where {})").format(table, condition)
        if connection.execute(query, key).fetchone() == (True,):
            yield f"{schema}.{name}.{CUSTOMER_KEY}"


def _with_words(
    connection: psycopg.Connection[Any], schemas: Sequence[str], words: Sequence[str]
) -> Iterator[str]:
    """Yield the columns of text, JSON or bytes that contain any of the words."""
    if not words:
        return
    values = {"schemas": list(schemas), "types": list(TYPES)}
    for schema, name, columns, kind in connection.execute(COLUMNS, values).fetchall():
        form = "encode({}, 'escape')" if kind == "bytea" else "{}::text"
        texts = [sql.SQL(form).format(sql.Identifier(column)) for column in columns]
        hits = sql.SQL("select {} from {}").format(
            sql.SQL(", ").join(
                sql.SQL("coalesce(bool_or({} ~* %(pattern)s), false)").format(text)
                for text in texts
            ),
            sql.Identifier(schema, name),
        )
        pattern = as_bytes_pattern(words) if kind == "bytea" else as_pattern(words)
        row = connection.execute(hits, {"pattern": pattern}).fetchone() or ()
        yield from (
            f"{schema}.{name}.{column}" for column, hit in zip(columns, row, strict=True) if hit
        )


def _files(settings: Settings, words: Sequence[str]) -> Iterator[str]:
    """Yield the files of the home and of models that contain any of the words."""
    from ml_tasks.models import artefacts

    if not words:
        return
    pattern = re.compile(
        "|".join(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])" for word in words).encode(),
        re.IGNORECASE,
    )
    own = [*(settings.home / name for name in FOLDERS), _server_log(settings)]
    own += copies.folders(settings)  # of a running landing, or left by a killed one
    for root in [*(path.resolve().as_uri() for path in own), artefacts.root(settings)]:
        filesystem, folder = artefacts.opened(root)
        if not filesystem.exists(folder):
            continue
        for path in sorted(filesystem.find(folder)):
            if not filesystem.isfile(path):  # a link to a folder; Airflow's logs contain some
                continue
            with suppress(FileNotFoundError), filesystem.open(path, "rb") as file:  # deleted by now
                if _has(file, pattern):
                    yield path


def _server_log(settings: Settings) -> Path:
    """Log of the home's database server; the file does not exist if the database is elsewhere."""
    return (settings.home / DATABASE).resolve().parent / SERVER_LOG


def _has(file: Any, pattern: re.Pattern[bytes]) -> bool:
    rest = b""
    for block in _blocks(file):
        if pattern.search(rest + block):
            return True
        rest = block[-1024:]  # a block may end within a word
    return False


def _blocks(file: Any) -> Iterator[bytes]:
    """Yield the file's content; a gzipped file, such as a copy during landing, is unpacked."""
    mark = file.read(len(GZIP_MARK))
    file.seek(0)
    if mark != GZIP_MARK:
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")
        return
    with suppress(EOFError, zlib.error, gzip.BadGzipFile):  # the file is not complete yet
        packed = gzip.GzipFile(fileobj=file)
        yield from iter(lambda: packed.read1(BLOCK_BYTES), b"")
