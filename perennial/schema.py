"""The warehouse's schema: schema.sql is its newest state, numbered upgrades lead older homes there.

A fresh home is made by schema.sql alone. An older home first gets the upgrades that it lacks, each
once, in order, in a transaction of its own; schema.sql adds what they need not: new tables,
functions, comments, grants. perennial/upgrades/README.md says how to write one.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.errors import LockNotAvailable

from perennial.settings import SettingsError

log = logging.getLogger(__name__)

SCHEMA = Path(__file__).with_name("schema.sql")
UPGRADES = Path(__file__).with_name("upgrades")
ATTEMPTS = 300  # about a minute

LEDGER = """
create schema if not exists ops;
create table if not exists ops.schema_upgrades (
    number integer primary key,
    file_name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
);
comment on table ops.schema_upgrades is
'Upgrades of the schema that this home has, one row each; the highest number is its version.';
comment on column ops.schema_upgrades.number is 'Number of the file in perennial/upgrades.';
comment on column ops.schema_upgrades.file_name is 'Its name.';
comment on column ops.schema_upgrades.sha256 is 'SHA-256 of its content, which never changes.';
comment on column ops.schema_upgrades.applied_at is
'When it was applied, UTC; in a home that was made with it, when the home was made.';
"""


@dataclass(frozen=True)
class Upgrade:
    """A file of perennial/upgrades: `<number>_<what>.sql`."""

    number: int
    file_name: str
    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def upgrades(folder: Path = UPGRADES) -> list[Upgrade]:
    """All upgrades of this code, by number."""
    return [
        Upgrade(int(path.name.split("_")[0]), path.name, path.read_text())
        for path in sorted(folder.glob("*.sql"))
    ]


def missing(connection: psycopg.Connection[Any], known: list[Upgrade]) -> list[Upgrade]:
    """The upgrades that a warehouse lacks, by number; all of them in a fresh one.

    Raises:
        SettingsError: If the warehouse is newer than this code, or an upgrade was edited after it
            was applied.
    """
    applied = _applied(connection)
    newest = known[-1].number if known else 0
    if max(applied, default=0) > newest:
        raise SettingsError(
            f"this home has schema version {max(applied)}, and this code knows {newest}: a newer "
            "version of the code has opened the home. Start it with that version or a newer one, "
            "or restore a backup made before (make restore FROM=<folder> into another home)"
        )
    for upgrade in known:
        if applied.get(upgrade.number, upgrade.sha256) != upgrade.sha256:
            raise SettingsError(
                f"perennial/upgrades/{upgrade.file_name} was changed after this home had it, and "
                "would not be applied again: bring the file back as it was (git checkout), and "
                "write what is to change into a new upgrade"
            )
    return [upgrade for upgrade in known if upgrade.number not in applied]


def bring_up_to_date(connection: psycopg.Connection[Any], folder: Path = UPGRADES) -> None:
    """Make the schema in a fresh warehouse; in an older one, apply what it lacks.

    Args:
        connection: Of the owner, in autocommit, holding the lock of starts.
        folder: Of the upgrades.

    Raises:
        SettingsError: See `missing`; or if others held a table for a minute.
        psycopg.Error: If an upgrade fails: those before it stay, and the next start goes on.
    """
    is_fresh = _is_null(connection, "ops.landed_files")  # which each version has had
    to_do = missing(connection, upgrades(folder))
    connection.execute(LEDGER)
    if not is_fresh:
        for upgrade in to_do:
            _apply(connection, upgrade)
    with connection.transaction():
        connection.execute(SCHEMA.read_text())
        if is_fresh:
            for upgrade in to_do:
                _record(connection, upgrade)


def _apply(connection: psycopg.Connection[Any], upgrade: Upgrade) -> None:
    def work() -> None:
        connection.execute(upgrade.text)
        _record(connection, upgrade)

    try:
        when_free(connection, f"upgrade {upgrade.file_name}", work)
    except psycopg.Error as error:
        error.add_note(f"in upgrade {upgrade.file_name}; the home is as it was before it")
        raise
    log.info("upgraded the schema: %s", upgrade.file_name)


def when_free(connection: psycopg.Connection[Any], what: str, work: Callable[[], object]) -> None:
    """Do `work` in a transaction once its tables are free, and keep no reader waiting meanwhile.

    To change a table Postgres waits for every transaction that has read it, and readers that come
    later wait behind that. So the work is tried for 100 ms a lock, again and again for a minute.

    Raises:
        SettingsError: If the tables were never free.
    """
    for _ in range(ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute("set local lock_timeout = '100ms'")
                work()
            return
        except LockNotAvailable:
            time.sleep(0.1)
    raise SettingsError(
        f"{what} found its tables in use: for a minute a transaction that has read them was open. "
        "Start again once it has ended; bi_reader's end by themselves after an hour"
    )


def _record(connection: psycopg.Connection[Any], upgrade: Upgrade) -> None:
    connection.execute(
        "insert into ops.schema_upgrades (number, file_name, sha256) values (%s, %s, %s)",
        [upgrade.number, upgrade.file_name, upgrade.sha256],
    )


def _applied(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """Digest by number."""
    if _is_null(connection, "ops.schema_upgrades"):
        return {}
    found = connection.execute("select number, sha256 from ops.schema_upgrades")
    return dict(found.fetchall())


def _is_null(connection: psycopg.Connection[Any], relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is null", [relation]).fetchone()
    return bool(row and row[0])
