"""A home out of a backup: `make restore FROM=`. Any free home path, any free ports."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath

import psycopg
from psycopg import sql

from local import postgres, programs, server_folder
from local.backup import DATABASE, FILES, MANIFEST, BackupError, Manifest, digests, version
from ml_tasks.models import artefacts
from perennial.settings import Settings, SettingsError

# Where MLflow's tables say where models' files are.
PLACES = {
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "model_versions": ["source", "storage_location"],
    "logged_models": ["artifact_location"],
}


def restore(settings: Settings, folder: Path) -> Manifest:
    """Make the home anew out of a backup; its database has been started and stopped once.

    Raises:
        SettingsError: If there is something where the home would be.
        BackupError: If the folder holds no whole backup, or one this code can't read.
    """
    folder = folder.expanduser().absolute()
    manifest = read_manifest(folder)
    settings = settings.model_copy(update={"source": manifest.source})
    _require_nothing(settings.home)
    draft = settings.home.with_name(f"{settings.home.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(folder / FILES, draft)
    draft.rename(settings.home)
    try:
        _restore_database(settings, folder / DATABASE, manifest)
    except BaseException:
        shutil.rmtree(settings.home)
        raise
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a backup holds, once every file was found to be as it was written.

    Raises:
        BackupError: If it is not whole, or of a newer code or another Postgres.
    """
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(f"{folder} holds no backup (no {MANIFEST}): mind FROM=") from None
    found = digests(folder)
    damaged = sorted(path for path, digest in manifest.files.items() if found.get(path) != digest)
    if damaged:
        raise BackupError(
            f"{len(damaged)} files of {folder} are not as they were written, "
            f"{damaged[0]} for one: take another backup, or another copy of this one"
        )
    if _numbers(manifest.version) > _numbers(version()):
        raise BackupError(
            f"{folder} was made by version {manifest.version}, this is {version()}: "
            "restore it with that version or a newer one"
        )
    if _numbers(manifest.postgres)[0] != _numbers(programs.version())[0]:
        raise BackupError(
            f"{folder} holds files of Postgres {manifest.postgres}, this is {programs.version()}: "
            "restore it with the code that made it, then pg_dumpall into this one"
        )
    return manifest


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _require_nothing(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SettingsError(
            f"{path} is not empty, and a restore overwrites nothing: `make clean` deletes a home, "
            "PERENNIAL_HOME=<folder> names another"
        )
    if path.exists():
        path.rmdir()


def _restore_database(settings: Settings, folder: Path, manifest: Manifest) -> None:
    # it may lie elsewhere, and outlive its home
    _require_nothing(server_folder.data_folder(settings))
    try:
        _unpack(server_folder.make_data_folder(settings), folder)
        postgres.start(settings)  # brings roles and tables to what this code expects
        _move_models(settings, manifest)
        postgres.stop(settings)
    except BaseException:
        postgres.stop(settings)
        postgres.remove(settings)
        raise


def _unpack(data: Path, folder: Path) -> None:
    for archive, place in (("base.tar.gz", data), ("pg_wal.tar.gz", data / "pg_wal")):
        with tarfile.open(folder / archive) as tar:
            _require_plain(tar, folder / archive)
            tar.extractall(place)  # its own filters came with a later Python 3.11
    for path in (data, *data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    postgres.hand_over(data)


def _require_plain(tar: tarfile.TarFile, archive: Path) -> None:
    """Check that nothing in it lands elsewhere: files and folders by plain names, no links."""
    for member in tar:
        path = PurePosixPath(member.name)
        is_plain = (member.isfile() or member.isdir()) and not path.is_absolute()
        if not is_plain or ".." in path.parts:
            raise BackupError(f"{archive} holds more than a database's files: it is not ours")


def _move_models(settings: Settings, manifest: Manifest) -> None:
    """Say in the registry where the files are now."""
    old = (Path(manifest.home).resolve() / artefacts.FOLDER).as_uri()
    new = (settings.home.resolve() / artefacts.FOLDER).as_uri()
    if old == new:
        return
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        for table, columns in PLACES.items():
            for column in columns:
                connection.execute(
                    sql.SQL(
                        "update {table} set {column} = %(new)s || substr({column}, %(length)s)"
                        " where starts_with({column}, %(old)s)"
                    ).format(table=sql.Identifier(table), column=sql.Identifier(column)),
                    {"new": new, "old": old + "/", "length": len(old) + 1},
                )
