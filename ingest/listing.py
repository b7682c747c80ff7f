"""List the paths that FILES names: a file, all files of a folder, or a glob; local or at a URL.

Names that begin with . or _ are hidden: other programs' marks and unfinished files (`_SUCCESS`,
`.part-0.crc`, `_temporary/`). Every other file in a folder counts, at any depth.
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
DEEPEST = 12  # nested folders; a link that leads back would never end


@dataclass(frozen=True)
class ListedPath:
    """A path, and the names of the folders between the place that FILES names and the file."""

    path: str
    folders: tuple[str, ...] = ()


def listed(filesystem: AbstractFileSystem, path: str, named: str) -> list[ListedPath]:
    """List the files behind a path, each once.

    Args:
        filesystem: File system of the path.
        path: File, folder or glob in it.
        named: The path as the user gave it, for messages.

    Raises:
        LandingError: If there are no files.
        OSError: If the path can't be listed.
    """
    if any(character in path for character in WILDCARDS):
        return _matches(filesystem, path, named)
    if _may_be_folder(filesystem, path) and filesystem.isdir(path):
        paths = list(_within(filesystem, path, (), named))
        if not paths:
            raise LandingError(
                f"folder {named} holds no files, nor does a folder in it (names that begin with . "
                "or _ are skipped): put the shop's files there"
            )
        return paths
    if not filesystem.exists(path):
        raise LandingError(
            f"there is no {named}: check the spelling, the folder it is relative to, and "
            "that the file of that date has arrived"
        )
    return [ListedPath(path)]


def format_of(path: str) -> str | None:
    """The format by the end of a file's name; None if no reader knows it."""
    name = PurePosixPath(path).name.lower().split("?")[0]
    return next((kind for suffix, kind in FORMATS.items() if name.endswith(suffix)), None)


def protocols(filesystem: AbstractFileSystem) -> tuple[str, ...]:
    """The protocol names of a file system, such as `file` or `s3`."""
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def fixed_parts(path: str) -> list[str]:
    """The parts of a path before the first part with a wildcard."""
    parts = PurePosixPath(path).parts
    return list(itertools.takewhile(lambda part: not set(part) & set(WILDCARDS), parts))


def require_inside(paths: list[str], path: str) -> None:
    """Check that the real files lie inside the folder of `path`, the user's file, folder or glob.

    Without this check, anybody who may write into the folder could link to other files.

    Raises:
        LandingError: If a file lies outside, or is no regular file.
    """
    folder = Path(*fixed_parts(path))
    folder = (folder if folder.is_dir() else folder.parent).resolve()
    for listed_path in paths:
        real = Path(listed_path).resolve()
        if not real.is_relative_to(folder):
            raise LandingError(
                f"{listed_path} leads out of {folder}, by a link or by `..`: put the file itself "
                "there, or name the folder that it is in"
            )
        if not real.is_file():
            raise LandingError(
                f"{listed_path} can't be read: it is a directory, a pipe or a device, "
                "no regular file"
            )


def _matches(filesystem: AbstractFileSystem, path: str, named: str) -> list[ListedPath]:
    depth = len(fixed_parts(path))
    matched = [str(match).rstrip("/") for match in filesystem.glob(path)]
    matched = [
        match for match in matched if all(map(_is_shown, PurePosixPath(match).parts[depth:]))
    ]
    folders = [match for match in matched if filesystem.isdir(match)]
    by_path = {match: ListedPath(match) for match in matched if match not in folders}
    for folder in folders:
        for inner in _within(filesystem, folder, (PurePosixPath(folder).name,), named):
            by_path.setdefault(inner.path, inner)  # a file that the glob names itself stays
    if not by_path:
        raise LandingError(f"no file matches {named}: check upper and lower case, and the date")
    return list(by_path.values())


def _within(
    filesystem: AbstractFileSystem, folder: str, folders: tuple[str, ...], named: str
) -> Iterator[ListedPath]:
    """Yield the files in a folder and its subfolders."""
    if len(folders) > DEEPEST:
        raise LandingError(
            f"{named}: {'/'.join(folders)} lies deeper than {DEEPEST} folders: is there a link "
            "that leads back? Remove it, or name the files with a glob"
        )
    # object stores list an entry for the folder itself
    own = folder.rstrip("/")
    entries = {
        str(entry["name"]).rstrip("/"): entry for entry in filesystem.ls(folder, detail=True)
    }
    shown = sorted(path for path in entries if _is_shown(PurePosixPath(path).name) and path != own)
    if hidden := sorted(set(entries) - set(shown) - {own}):
        log.info("%s: %d hidden names are skipped, such as %s", own, len(hidden), hidden[0])
    for path in shown:
        entry, name = entries[path], PurePosixPath(path).name
        if entry["type"] == "directory" or (entry.get("islink") and filesystem.isdir(path)):
            yield from _within(filesystem, path, (*folders, name), named)
        else:
            yield ListedPath(path, folders)


def _may_be_folder(filesystem: AbstractFileSystem, path: str) -> bool:
    """False for an HTTP URL that names a file: `isdir` would download the file."""
    return format_of(path) is None or "http" not in protocols(filesystem)


def _is_shown(name: str) -> bool:
    # a web server's listing of a folder contains links that sort it: ?C=N;O=D
    return name[:1] not in (".", "_", "?")
