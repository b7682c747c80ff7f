"""Is a customer left anywhere? The key, and their addresses, looked for as words, everywhere.

A key of digits alone stands in a thousand places by chance: as a price, a count, another thing's
number. Such a key is looked for in columns that hold customers' keys, any other one in every
column that holds text and in the home's files.
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
FOLDERS = ("dbt", "logs", "run")  # of the home; models' files are wherever they are kept
DATABASE = "postgres"  # of the home: the database's files, or a link to them
SERVER_LOG = "postgres.log"  # beside the database's files
BLOCK_BYTES = 1 << 22
AIRFLOW = "airflow."  # begins a place in Airflow's database
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
    """Finds one of the texts where it stands alone, as Postgres reads patterns."""
    escaped = (re.sub(r"([^\w\s])", r"\\\1", text, flags=re.ASCII) for text in texts)
    return "|".join(rf"(?:^|[^[:alnum:]]){text}(?:[^[:alnum:]]|$)" for text in escaped)


def as_bytes_pattern(texts: Sequence[str]) -> str:
    """The same for bytes as `encode(..., 'escape')` writes them."""
    return as_pattern(["".join(map(_escaped, text.encode())) for text in texts])


def _escaped(byte: int) -> str:
    if byte > 127:
        return f"\\{byte:03o}"
    return "\\\\" if byte == ord("\\") else chr(byte)


def is_telling(word: str) -> bool:
    """Whether a word can only be the customer's: a number alone may be anything's."""
    return bool(re.search(r"[^\d.]", word))


def places(settings: Settings, who: Person, others: Sequence[str] = ()) -> list[str]:
    """Tables, columns and files in which the customer is still found.

    Args:
        settings: Which home.
        who: The customer.
        others: Their addresses and the like, in clear.
    """
    words = [word for word in (who.customer_id, *others) if is_telling(word)]
    with connect(settings, "eraser") as connection:
        found = [*_of_the_key(connection, settings, who)]
        found += _of_words(connection, SCHEMAS, words)
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        found += [f"mlflow.{place}" for place in _of_words(connection, ("public",), words)]
    return [*dict.fromkeys(found), *_files(settings, words), *in_airflow(settings, who, others)]


def in_airflow(settings: Settings, who: Person, others: Sequence[str] = ()) -> list[str]:
    """The same in Airflow's own database: runs' parameters, questions, results, its log."""
    words = [word for word in (who.customer_id, *others) if is_telling(word)]
    with psycopg.connect(settings.dsn("airflow", "airflow")) as connection:
        return [f"{AIRFLOW}{place}" for place in _of_words(connection, ("public",), words)]


def _of_the_key(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> Iterator[str]:
    """Columns that hold customers' keys, and have this one."""
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


def _of_words(
    connection: psycopg.Connection[Any], schemas: Sequence[str], words: Sequence[str]
) -> Iterator[str]:
    """Columns of text, JSON or bytes in which one of the words stands."""
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
    """Files of the home, and models' files, in which one of the words stands."""
    from ml_tasks.models import artefacts

    if not words:
        return
    pattern = re.compile(
        "|".join(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])" for word in words).encode(),
        re.IGNORECASE,
    )
    own = [*(settings.home / name for name in FOLDERS), _server_log(settings)]
    own += copies.folders(settings)  # of a landing under way, or of one that was killed
    for root in [*(path.resolve().as_uri() for path in own), artefacts.root(settings)]:
        filesystem, folder = artefacts.opened(root)
        if not filesystem.exists(folder):
            continue
        for path in sorted(filesystem.find(folder)):
            if not filesystem.isfile(path):  # a link to a folder, as Airflow's logs have
                continue
            with suppress(FileNotFoundError), filesystem.open(path, "rb") as file:  # gone by now
                if _has(file, pattern):
                    yield path


def _server_log(settings: Settings) -> Path:
    """Log of the home's own database server; there is none where the database is elsewhere."""
    return (settings.home / DATABASE).resolve().parent / SERVER_LOG


def _has(file: Any, pattern: re.Pattern[bytes]) -> bool:
    rest = b""
    for block in _blocks(file):
        if pattern.search(rest + block):
            return True
        rest = block[-1024:]  # a word may be cut by the block
    return False


def _blocks(file: Any) -> Iterator[bytes]:
    """The file's content; of a gzipped one (a copy that is being made, say) what is in it."""
    mark = file.read(len(GZIP_MARK))
    file.seek(0)
    if mark != GZIP_MARK:
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")
        return
    with suppress(EOFError, zlib.error, gzip.BadGzipFile):  # its end is not there yet
        packed = gzip.GzipFile(fileobj=file)
        yield from iter(lambda: packed.read1(BLOCK_BYTES), b"")
