"""Copies of remote files while they are read: in the home, and gone when the reading ends.

They hold what the shop sent in clear. A reading that is killed leaves its copy behind, so the next
one, and the next start, delete the copies that no living process holds, and log which they can't.
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
    """A folder for copies, that of no other process; deleted at the end."""
    with _one_at_a_time(settings):
        _remove_left(settings)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=settings.home))
        handle = _held(folder)
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
    """Where copies are just now."""
    older = "newest-*"  # as versions before this one named some
    return sorted(
        p for name in (f"{PREFIX}*", older) for p in settings.home.glob(name) if p.is_dir()
    )


def _remove_left(settings: Settings) -> None:
    for folder in folders(settings):
        handle = _held(folder)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)  # as much of it as goes
            os.close(handle)
            if folder.exists():
                log.error(
                    "%s holds copies in clear of files that the shop sent, left by a landing that "
                    "was killed, and can't be deleted: delete it by hand",
                    folder,
                )


def _held(folder: Path) -> int | None:
    """The folder, locked until the handle is closed or this process ends; None: another has it."""
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
    """So that nobody takes a folder for left that was made a moment ago."""
    folder = settings.home / "run"  # which is in no backup
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
