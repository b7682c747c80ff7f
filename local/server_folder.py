"""Where the embedded Postgres keeps its files: in the home, or, of root's homes, outside of it.

Postgres refuses to run as root; then it runs as a system user of its own, and where that user can't
reach the home, its files go under /var/lib/perennial, and the home has a link to them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from pathlib import Path

from local import programs
from perennial.settings import Settings, SettingsError

SYSTEM_FOLDER = Path("/var/lib/perennial")
ORPHANS_TIMEOUT_SECONDS = 10


def data_folder(settings: Settings) -> Path:
    """Where the database's files are, or will be made."""
    link = link_of(settings)
    if link.is_symlink() or link.is_dir():
        return link.resolve()
    home = settings.home.resolve()
    if os.geteuid() != 0 or _is_passable(home):
        return link.resolve()
    return SYSTEM_FOLDER / hashlib.sha256(str(home).encode()).hexdigest()[:12] / "postgres"


def has_database(settings: Settings) -> bool:
    """Whether the home's database has been made."""
    return (data_folder(settings) / "PG_VERSION").exists()


def link_of(settings: Settings) -> Path:
    """The database's files as the home knows them: the folder, or a link to it."""
    return settings.home.resolve() / "postgres"


def make_server_folder(settings: Settings) -> None:
    """Make the folder around the database's files, if it is not the home.

    Raises:
        SettingsError: If the home knows a database that is gone, or is another home's.
    """
    data, link = data_folder(settings), link_of(settings)
    if link.is_symlink() and not data.exists():
        raise SettingsError(
            f"the database of {settings.home} was in {data}, and that is gone: bring it back, "
            f"or `make clean` and then `make restore FROM=<backup>`, or `make run` to begin anew"
        )
    owner = owner_of(data)
    if link.is_symlink() and owner != link and owner.is_symlink() and owner.resolve() == data:
        raise SettingsError(
            f"{settings.home} is a copy of {owner.parent} and has no database of its own: "
            "copy a home with `make backup` and `make restore`"
        )
    if data != link:
        for folder in (SYSTEM_FOLDER, data.parent):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)  # whatever our umask is
    elif os.geteuid() == 0 and not _is_passable(data.parent):
        raise SettingsError(
            f"{data} can't be reached by {programs.SYSTEM_USER}, the user that Postgres runs as: "
            "let it pass through (chmod o+x) each folder above, as when the database was made"
        )


def link_to_server_folder(settings: Settings) -> None:
    """Have the home know its database, so that it is found when the home was moved or opened."""
    data, link = data_folder(settings), link_of(settings)
    if data != link:
        if not link.is_symlink():
            link.symlink_to(data)
        (data.parent / "home").write_text(str(link))


def owner_of(data: Path) -> Path:
    """Which home's link leads to a database that lies elsewhere."""
    note = data.parent / "home"
    return Path(note.read_text()) if note.exists() else data


def _is_passable(path: Path) -> bool:
    """Whether any system user may pass through `path` and its parents."""
    existing = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in existing)


def make_data_folder(settings: Settings) -> Path:
    """An empty folder for the database's files; what a start cut short left there is deleted."""
    make_server_folder(settings)
    return make_folder(data_folder(settings))


def make_folder(path: Path) -> Path:
    """Make a private folder; whatever is there is deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
    while path.exists() and time.monotonic() < deadline:
        shutil.rmtree(path, ignore_errors=True)  # the child of a killed initdb may still write
    path.mkdir(mode=0o700)
    return path
