"""Temporary copies of remote files in the home, deleted when they have been read.

The copies hold the shop's data in clear text. A killed process leaves its copies behind, so the
next landing and the next start delete the copies that no living process holds, and log an error
for each that can't be deleted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perennial.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "landing-"
LOCK = "landing.lock"


@contextmanager
def copies(settings: Settings) -> Iterator[Path]:
    """Yield a new folder for copies, locked by this process and deleted at the end."""
    with _one_at_a_time(settings):
        _remove_left(settings)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=settings.home))
        handle = _locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        if handle is not None:
            os.close(handle)


def remove_left(settings: Settings) -> None:
    """Delete the copies that a killed process left in the home."""
    if settings.home.exists():
        with _one_at_a_time(settings):
            _remove_left(settings)


def folders(settings: Settings) -> list[Path]:
    """Folders that hold copies now, in order of path."""
    older = "newest-*"  # a name that earlier versions used
    return sorted(
        p for name in (f"{PREFIX}*", older) for p in settings.home.glob(name) if p.is_dir()
    )


def _remove_left(settings: Settings) -> None:
    for folder in folders(settings):
        handle = _locked(folder)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)  # deletes as much as possible
            os.close(handle)
            if folder.exists():
                log.error(
                    "%s can't be deleted: delete it by hand. It holds clear-text copies of the "
                    "shop's files, left by a landing that was killed",
                    folder,
                )


def _locked(folder: Path) -> int | None:
    """Lock a folder until the handle is closed or this process ends.

    Returns:
        The open handle; None if another process holds the lock or the folder is gone.
    """
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            return handle
    return None


@contextmanager
def _one_at_a_time(settings: Settings) -> Iterator[None]:
    """Exclude other processes, which would delete a new folder before its lock is set."""
    folder = settings.home / "run"  # not backed up
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
