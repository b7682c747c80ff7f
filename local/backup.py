"""A home in a folder: `make backup`. The database while it runs, the models, the passwords.

The database is a base backup of the whole server, so warehouse, registry and Airflow's own state
are of one instant. Files of the home are copied after it: a model's files are written before the
registry names them, so whatever the database names is there. What a start makes again is left out.

The folder holds passwords: it is made for its owner's eyes only, and is as secret as the home.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from local import postgres, programs, server_folder
from local.home import whole_file
from perennial.bootstrap import SUPERUSER
from perennial.settings import REPOSITORY, Settings, SettingsError, shop_of

MANIFEST = "manifest.json"
DATABASE, FILES = "postgres", "home"  # folders of a backup
# Made again at each start, or worth nothing elsewhere.
LEFT_OUT = ("airflow", "cosmos", "dbt", "landing-*", "logs", "postgres", "postgres.*", "run")
REPLICATION = (
    "# `make backup` copies the server as a replica would.\n"
    f"host replication {SUPERUSER} 127.0.0.1/32 scram-sha-256\n"
    f"host replication {SUPERUSER} ::1/128 scram-sha-256\n"
)


class BackupError(RuntimeError):
    """There is no backup, or none that can be used; the message says why and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        made_at: When it was begun, UTC, ISO 8601.
        source: The shop, as SOURCE names it.
        home: Where the home was.
        version: Of the code that made it.
        postgres: Version of the server.
        files: Path in the backup: its SHA-256.
    """

    made_at: str
    source: str
    home: str
    version: str
    postgres: str
    files: dict[str, str]


def default_folder(settings: Settings, now: datetime) -> Path:
    """Beside the home, named after the moment."""
    return settings.home.with_name(f"{settings.home.name}-backups") / f"{now:%Y-%m-%dT%H%M%SZ}"


def backup(settings: Settings, folder: Path | None = None) -> Path:
    """Write the home into a new folder and return that; the server may be at work meanwhile.

    Raises:
        SettingsError: If there is no home, or the folder is there already.
        BackupError: If the database can't be copied; the folder is not made then.
    """
    source = shop_of(settings.home)
    if source is None:
        raise SettingsError(
            f"{settings.home} is no home of ours (no shop.json): nothing to back up"
        )
    now = datetime.now(UTC)
    folder = (folder or default_folder(settings, now)).expanduser().absolute()
    if folder.exists():
        raise SettingsError(f"{folder} is there already: a backup goes into a new folder")
    for own in (settings.home.resolve(), server_folder.data_folder(settings).parent):
        if folder.resolve().is_relative_to(own):
            raise SettingsError(
                f"{folder} lies in {own}, which is to be backed up: name a folder outside, best on "
                "another disk"
            )
    draft = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    was_running = postgres.is_running(settings)
    postgres.start(settings)
    try:
        _copy_database(settings, draft / DATABASE)
    finally:
        if not was_running:
            postgres.stop(settings)
    copy_home(settings.home, draft / FILES)
    manifest = Manifest(
        made_at=now.isoformat(timespec="seconds"),
        source=source,
        home=str(settings.home),
        version=version(),
        postgres=programs.version(),
        files=digests(draft),
    )
    (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    draft.rename(folder)
    return folder


def copy_home(home: Path, folder: Path) -> None:
    """Copy what a start does not make again, each file with its mode."""
    left_out = shutil.ignore_patterns(*LEFT_OUT)

    def ignore(place: str, names: list[str]) -> set[str]:
        return left_out(place, names) if Path(place) == home else set()

    shutil.copytree(home, folder, ignore=ignore)


def version() -> str:
    """Version of this code."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by its path in it, but for the manifest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            found[str(path.relative_to(folder))] = digest.hexdigest()
    return found


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each part of a backup."""
    return {
        part: sum(path.stat().st_size for path in (folder / part).rglob("*") if path.is_file())
        for part in (DATABASE, FILES)
    }


def _copy_database(settings: Settings, folder: Path) -> None:
    _allow_replication(settings)
    command = [
        *(str(programs.binary("pg_basebackup")), "--pgdata", str(folder), "--username", SUPERUSER),
        *("--host", settings.pg_host, "--port", str(settings.pg_port), "--no-password"),
        *("--format", "tar", "--compress", "client-gzip:1", "--checkpoint", "fast", "--progress"),
    ]
    done = subprocess.run(
        command, env=os.environ | {"PGPASSWORD": settings.password(SUPERUSER)}, check=False
    )
    if done.returncode:
        raise BackupError("pg_basebackup failed, it says why above: no backup was made")


def _allow_replication(settings: Settings) -> None:
    """Let the superuser copy the server, over loopback and with the password."""
    rules = server_folder.data_folder(settings) / "pg_hba.conf"
    before = rules.read_text()
    if REPLICATION not in before:
        with whole_file(rules, 0o600) as file:
            file.write(before + REPLICATION)
        postgres.hand_over(rules)
        with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
            connection.execute("select pg_reload_conf()")
