"""Which paths FILES means: a file, a folder with all that is in it, a glob; here or at a URL.

Names that begin with . or _ are hidden: other programs' marks and unfinished work (`_SUCCESS`,
`.part-0.crc`, `_temporary/`). Everything else in a folder is the shop's, however deep it lies.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ingest.errors import LandingError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "json_lines",
    ".jsonl.gz": "json_lines",
    ".ndjson": "json_lines",
    ".ndjson.gz": "json_lines",
}
WILDCARDS = "*?["
DEEPEST = 12  # folders in folders; a link that leads back would go on for ever


@dataclass(frozen=True)
class Found:
    """A path, and the names of the folders on the way to it that FILES does not name."""

    path: str
    folders: tuple[str, ...] = ()


def listed(filesystem: AbstractFileSystem, path: str, named: str) -> list[Found]:
    """The files behind a path, each once.

    Args:
        filesystem: Where it is.
        path: File, folder or glob in it.
        named: The same as it was given, for messages.

    Raises:
        LandingError: If there is nothing there.
        OSError: If it can't be listed.
    """
    if any(character in path for character in WILDCARDS):
        return _matches(filesystem, path, named)
    if _may_be_folder(filesystem, path) and filesystem.isdir(path):
        found = list(_within(filesystem, path, (), named))
        if not found:
            raise LandingError(
                f"folder {named} holds no files, nor does a folder in it (names that begin with . "
                "or _ are passed over): put the shop's files there"
            )
        return found
    if not filesystem.exists(path):
        raise LandingError(
            f"there is no {named}: mind the spelling, the folder it is relative to, and "
            "that the file of that date has arrived"
        )
    return [Found(path)]


def format_of(path: str) -> str | None:
    """The format that a file's name ends with; None: no reader knows it."""
    name = PurePosixPath(path).name.lower().split("?")[0]
    return next((kind for suffix, kind in FORMATS.items() if name.endswith(suffix)), None)


def protocols(filesystem: AbstractFileSystem) -> tuple[str, ...]:
    """The names of a file system's kind."""
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def fixed_parts(path: str) -> list[str]:
    """The parts of a path before its first wildcard."""
    parts = PurePosixPath(path).parts
    return list(itertools.takewhile(lambda part: not set(part) & set(WILDCARDS), parts))


def require_inside(paths: list[str], path: str) -> None:
    """Refuse what lies elsewhere than it seems: whoever may write into a folder names no others.

    Raises:
        LandingError: If one does, or is no regular file.
    """
    folder = Path(*fixed_parts(path))
    folder = (folder if folder.is_dir() else folder.parent).resolve()
    for found in paths:
        real = Path(found).resolve()
        if not real.is_relative_to(folder):
            raise LandingError(
                f"{found} leads out of {folder}: a link or .. in it; put the file itself there, "
                "or name the folder it is in"
            )
        if not real.is_file():
            raise LandingError(
                f"{found} can't be read: it is no regular file but a directory, a pipe or a device"
            )


def _matches(filesystem: AbstractFileSystem, path: str, named: str) -> list[Found]:
    depth = len(fixed_parts(path))
    matched = [str(match).rstrip("/") for match in filesystem.glob(path)]
    matched = [
        match for match in matched if all(map(_is_shown, PurePosixPath(match).parts[depth:]))
    ]
    folders = [match for match in matched if filesystem.isdir(match)]
    found = {match: Found(match) for match in matched if match not in folders}
    for folder in folders:
        for inner in _within(filesystem, folder, (PurePosixPath(folder).name,), named):
            found.setdefault(inner.path, inner)  # one that the glob names itself stays so
    if not found:
        raise LandingError(f"no file matches {named}: mind upper and lower case, or the date")
    return list(found.values())


def _within(
    filesystem: AbstractFileSystem, folder: str, folders: tuple[str, ...], named: str
) -> Iterator[Found]:
    """The files in a folder and in the folders in it."""
    if len(folders) > DEEPEST:
        raise LandingError(
            f"{named}: {'/'.join(folders)} lies deeper than {DEEPEST} folders: is there a link "
            "that leads back? Remove it, or name the files with a glob"
        )
    # object stores list a mark of the folder itself
    own = folder.rstrip("/")
    entries = {
        str(entry["name"]).rstrip("/"): entry for entry in filesystem.ls(folder, detail=True)
    }
    shown = sorted(path for path in entries if _is_shown(PurePosixPath(path).name) and path != own)
    if hidden := sorted(set(entries) - set(shown) - {own}):
        log.info("%s: %d hidden names are passed over, such as %s", own, len(hidden), hidden[0])
    for path in shown:
        entry, name = entries[path], PurePosixPath(path).name
        if entry["type"] == "directory" or (entry.get("islink") and filesystem.isdir(path)):
            yield from _within(filesystem, path, (*folders, name), named)
        else:
            yield Found(path, folders)


def _may_be_folder(filesystem: AbstractFileSystem, path: str) -> bool:
    """A URL that names a file is not asked whether it is a folder: HTTP would download it."""
    return format_of(path) is None or "http" not in protocols(filesystem)


def _is_shown(name: str) -> bool:
    # a web server's list of a folder has links that sort it: ?C=N;O=D
    return name[:1] not in (".", "_", "?")
