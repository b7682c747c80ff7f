"""The shop's files: list the files that FILES names, open them, read their digest and lines.

A remote file is copied into the home first: it is read twice, and a network fault in the middle of
a landing would undo the whole landing.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from ingest.csv_records import count_lines
from ingest.errors import LandingError
from ingest.listing import FORMATS, ListedPath, format_of, listed, protocols, require_inside
from ingest.order import natural_key
from perennial.settings import SECRET_REMEDY
from perennial.text import holds_secret

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TABLE_PREFIX = "table:"
# The schemes of fsspec that name plain files: no archives, caches, references or code.
SCHEMES = {
    *("file", "local", "memory", "http", "https", "ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs"),
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"),
}
GB = 10**9
DEFAULT_LIMIT_BYTES = 50 * GB
# No real export compresses by a factor of more than MOST_PACKED. Below PACKED_HARMLESS_BYTES
# uncompressed, a file may: it can't fill the disk.
MOST_PACKED, PACKED_HARMLESS_BYTES = 300, GB // 10
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ShopFile:
    """A file of the shop.

    Attributes:
        name: Full path or URL, for messages.
        base_name: Name without its folders.
        format: As in ingest.listing.FORMATS.
        is_gzip: Whether the content is compressed.
        filesystem: Where it is.
        path: Path in the file system.
        limit_bytes: Maximum length of the uncompressed content.
        folders: Names of the folders between the place that FILES names and the file.
    """

    name: str
    base_name: str
    format: str
    is_gzip: bool
    filesystem: AbstractFileSystem
    path: str
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    folders: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine."""
        return "file" in protocols(self.filesystem)


@dataclass(frozen=True)
class Content:
    """Digest and counts of a file's uncompressed content, from the first reading.

    Attributes:
        sha256: Digest of the whole content, hexadecimal.
        byte_count: Length of the content.
        line_count: Lines, counted by line ends; a last line without a line end counts.
        prefix_sha256: Digest of the first `prefix_bytes`; None if the content is not longer.
        prefix_line_count: Lines in the first `prefix_bytes`; None unless the prefix ends with a
            line feed.
    """

    sha256: str
    byte_count: int
    line_count: int
    prefix_sha256: str | None = None
    prefix_line_count: int | None = None


def find(files: str, as_of_date: date, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> list[ShopFile]:
    """List the files that FILES names on a date, in natural order of path.

    Args:
        files: Path, folder, glob or fsspec URL; `{as_of_date}` becomes the date.
        as_of_date: Date of the run.
        limit_bytes: Maximum length of a file's uncompressed content.

    Raises:
        LandingError: If there are no files, or a file's format is unknown; if a file lies outside
            the folder that FILES names, or FILES contains a secret.
    """
    import fsspec

    named = files.replace("{as_of_date}", as_of_date.isoformat())
    if not named.strip():
        raise LandingError("FILES is empty: give a path, a folder, a glob or a URL of the files")
    _require_plain(named)
    try:
        filesystem, path = fsspec.core.url_to_fs(named)
    except (ImportError, ValueError) as error:
        raise LandingError(f"{named} can't be opened: {error}") from error
    try:
        paths = listed(filesystem, path, named)
    except OSError as error:
        raise LandingError(f"{named} can't be listed: {error}") from error
    if "file" in protocols(filesystem):
        require_inside([each.path for each in paths], path)
    shop_files = [_shop_file(filesystem, each, limit_bytes) for each in paths]
    return sorted(shop_files, key=lambda file: natural_key(file.path))


def _require_plain(named: str) -> None:
    """Refuse addresses that contain a secret, and those that fsspec opens as more than files."""
    if holds_secret(named):
        raise LandingError(f"FILES: {SECRET_REMEDY}")
    scheme = named.partition("://")[0] if "://" in named else "file"
    if "::" in named or named.startswith("data:") or scheme not in SCHEMES:
        raise LandingError(
            f"{named} is no address of files ({', '.join(sorted(SCHEMES))}): chains such as zip:: "
            "are not followed, unpack archives first"
        )


def _shop_file(
    filesystem: AbstractFileSystem, listed_path: ListedPath, limit_bytes: int
) -> ShopFile:
    path = listed_path.path
    name = path if "file" in protocols(filesystem) else filesystem.unstrip_protocol(path)
    kind = format_of(path)
    if kind is None:
        raise LandingError(
            f"{name}: no reader for this kind of file; its name must end with one of "
            f"{', '.join(FORMATS)}. Convert or rename it, or keep it out with a glob"
        )
    base_name = PurePosixPath(path).name.split("?")[0]
    is_gzip = base_name.lower().endswith(".gz")
    folders = listed_path.folders
    return ShopFile(name, base_name, kind, is_gzip, filesystem, path, limit_bytes, folders)


def emptiness(file: ShopFile) -> str:
    """The error message for an empty file."""
    return (
        f"{file.name} is empty: the export broke off, or is still being written. A day without "
        "orders is a file with a header and no records"
    )


@contextmanager
def opened(file: ShopFile, local: Path) -> Iterator[BinaryIO]:
    """Open the uncompressed content as a stream.

    Raises:
        LandingError: If the compressed content is damaged, or the content is too long.
    """
    try:
        with gzip.open(local) if file.is_gzip else local.open("rb") as stream:
            yield _Bounded(stream, file, local)  # type: ignore[misc,arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LandingError(
            f"{file.name} is damaged, or cut off ({error}): have it sent again"
        ) from error


class _Bounded:
    """A stream that raises LandingError once it is longer than any real export.

    A small archive may unpack to more than the disk holds.
    """

    def __init__(self, stream: BinaryIO, file: ShopFile, local: Path) -> None:
        self._stream, self._file = stream, file
        self._byte_count = 0
        self._limit_bytes = file.limit_bytes
        if file.is_gzip:
            packed_bytes = local.stat().st_size
            most = max(MOST_PACKED * packed_bytes, PACKED_HARMLESS_BYTES)
            self._limit_bytes = min(self._limit_bytes, most)

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._byte_count += len(block)
        require_bounded(self._file, self._byte_count, self._limit_bytes)
        return block


def require_bounded(file: ShopFile, byte_count: int, limit_bytes: int) -> None:
    """Check that `byte_count` of a file's content is within `limit_bytes`.

    Raises:
        LandingError: If it is more.
    """
    if byte_count > limit_bytes:
        raise LandingError(
            f"{file.name} is longer than {limit_bytes / GB:,.1f} GB uncompressed, which is "
            f"PERENNIAL_MAX_FILE_GB or {MOST_PACKED} times its size: no export is, so look at it; "
            "if it is right, send it in parts, uncompressed, or raise the setting"
        )


def examine(file: ShopFile, local: Path, prefix_bytes: int = 0) -> Content:
    """Read the content once and return its digest, length and number of lines.

    Args:
        file: The file.
        local: Its path on this machine.
        prefix_bytes: Length of an earlier version that the content may begin with.

    Raises:
        LandingError: If the content is empty, damaged or too long.
    """
    with opened(file, local) as stream:
        prefix = _Tally()
        prefix.read(stream, prefix_bytes)
        whole = prefix.copy()
        whole.read(stream)
    if not whole.byte_count:
        raise LandingError(emptiness(file))
    has_grown = bool(prefix_bytes) and whole.byte_count > prefix_bytes
    return Content(
        sha256=whole.digest.hexdigest(),
        byte_count=whole.byte_count,
        line_count=whole.line_count + (whole.last not in (b"\n", b"\r")),
        prefix_sha256=prefix.digest.hexdigest() if has_grown else None,
        prefix_line_count=prefix.line_count if has_grown and prefix.last == b"\n" else None,
    )


class _Tally:
    """Digest, bytes and line ends of the blocks added so far."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.byte_count = self.line_count = 0
        self.last = b""

    def copy(self) -> _Tally:
        other = _Tally()
        other.digest = self.digest.copy()
        other.byte_count, other.line_count, other.last = (
            self.byte_count,
            self.line_count,
            self.last,
        )
        return other

    def add(self, block: bytes) -> None:
        if not block:
            return
        self.digest.update(block)
        self.byte_count += len(block)
        split = self.last == b"\r" and block[:1] == b"\n"  # a CR LF cut in two is one line end
        self.line_count += count_lines(block) - split
        self.last = block[-1:]

    def read(self, stream: BinaryIO, limit: int | None = None) -> None:
        """Add the stream to its end, or `limit` bytes of it."""
        for block in blocks(stream.read, limit):
            self.add(block)


def blocks(read: Callable[[int], bytes], limit: int | None = None) -> Iterator[bytes]:
    """Yield what `read` returns in blocks, at most `limit` bytes in all."""
    left = limit
    while left is None or left > 0:
        block = read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            return
        if left is not None:
            left -= len(block)
        yield block


class CheckedStream:
    """A stream that computes the digest of the bytes read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._tally = _Tally()

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        block = self._stream.read(size)
        self._tally.add(block)
        return block

    @property
    def sha256(self) -> str:
        """Digest of the bytes read so far, hexadecimal."""
        return self._tally.digest.hexdigest()
