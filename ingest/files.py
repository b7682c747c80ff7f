"""The shop's files: which ones FILES means, how they are opened, what is in them.

A remote file is copied beside the home first: it is read twice, and a network that breaks in the
middle of a landing would cost the whole landing.
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
from ingest.listing import FORMATS, Found, format_of, listed, protocols, require_inside
from ingest.order import natural_key
from perennial.settings import SECRET_REMEDY
from perennial.text import holds_secret

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TABLE_PREFIX = "table:"
# Of fsspec's, those that lead to files somebody put there: no archives, caches, references, code.
SCHEMES = {
    *("file", "local", "memory", "http", "https", "ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs"),
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"),
}
GB = 10**9
DEFAULT_LIMIT_BYTES = 50 * GB
# No real export packs so well. A small file may: it can't do harm.
MOST_PACKED, PACKED_HARMLESS_BYTES = 300, GB // 10
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ShopFile:
    """A file of the shop: its full path or URL, its format, how to open it, how long it may be.

    Attributes:
        folders: Names of the folders on the way to it that FILES does not name itself.
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
        """Whether it is on this machine."""
        return "file" in protocols(self.filesystem)


@dataclass(frozen=True)
class Content:
    """What the first reading found out about the uncompressed content.

    Attributes:
        sha256: Of all of it, hexadecimal.
        byte_count: Its length.
        line_count: Lines, counted from line ends alone; a last line without one counts.
        prefix_sha256: Of its first `prefix_bytes`; None if it is not longer than those.
        prefix_line_count: Lines in them; None unless they end with a line feed.
    """

    sha256: str
    byte_count: int
    line_count: int
    prefix_sha256: str | None = None
    prefix_line_count: int | None = None


def find(files: str, as_of_date: date, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> list[ShopFile]:
    """The files that FILES means on a date, in natural order of name.

    Args:
        files: Path, folder, glob or fsspec URL; `{as_of_date}` becomes the date.
        as_of_date: Date of the run.
        limit_bytes: So long may a file's uncompressed content be.

    Raises:
        LandingError: If there is nothing there, or a file's format is not known; if a file lies
            outside the folder that is named, or the address has a secret in it.
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
        found = listed(filesystem, path, named)
    except OSError as error:
        raise LandingError(f"{named} can't be listed: {error}") from error
    if "file" in protocols(filesystem):
        require_inside([each.path for each in found], path)
    shop_files = [_shop_file(filesystem, each, limit_bytes) for each in found]
    return sorted(shop_files, key=lambda file: natural_key(file.path))


def _require_plain(named: str) -> None:
    """Refuse addresses that hold a secret, and those of which fsspec makes more than files."""
    if holds_secret(named):
        raise LandingError(f"FILES: {SECRET_REMEDY}")
    scheme = named.partition("://")[0] if "://" in named else "file"
    if "::" in named or named.startswith("data:") or scheme not in SCHEMES:
        raise LandingError(
            f"{named} is no address of files ({', '.join(sorted(SCHEMES))}): chains such as zip:: "
            "are not followed, unpack archives first"
        )


def _shop_file(filesystem: AbstractFileSystem, found: Found, limit_bytes: int) -> ShopFile:
    path = found.path
    name = path if "file" in protocols(filesystem) else filesystem.unstrip_protocol(path)
    kind = format_of(path)
    if kind is None:
        raise LandingError(
            f"{name}: no reader for this kind of file; its name must end with one of "
            f"{', '.join(FORMATS)}. Convert or rename it, or keep it out with a glob"
        )
    base_name = PurePosixPath(path).name.split("?")[0]
    is_gzip = base_name.lower().endswith(".gz")
    return ShopFile(name, base_name, kind, is_gzip, filesystem, path, limit_bytes, found.folders)


def emptiness(file: ShopFile) -> str:
    """What is said of a file that is empty."""
    return (
        f"{file.name} is empty: the export broke off, or is still being written. A day without "
        "orders is a file with a header and no records"
    )


@contextmanager
def opened(file: ShopFile, local: Path) -> Iterator[BinaryIO]:
    """The uncompressed content as a stream.

    Raises:
        LandingError: If it is compressed and damaged, or longer than it may be.
    """
    try:
        with gzip.open(local) if file.is_gzip else local.open("rb") as stream:
            yield _Bounded(stream, file, local)  # type: ignore[misc,arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LandingError(
            f"{file.name} is damaged, or cut off ({error}): have it sent again"
        ) from error


class _Bounded:
    """A stream that ends where no honest file goes on: a small archive may hold a disk full."""

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
    """Check that a file is not longer than it may be.

    Raises:
        LandingError: If it is.
    """
    if byte_count > limit_bytes:
        raise LandingError(
            f"{file.name} is longer than {limit_bytes / GB:,.1f} GB uncompressed, which is "
            f"PERENNIAL_MAX_FILE_GB or {MOST_PACKED} times its size: no export is, so look at it; "
            "if it is right, send it in parts, uncompressed, or raise the setting"
        )


def examine(file: ShopFile, local: Path, prefix_bytes: int = 0) -> Content:
    """Read the content once, for its digest and its number of lines.

    Args:
        file: The file.
        local: Where it is on this machine.
        prefix_bytes: Length of an earlier version, which this one may begin with.
    """
    with opened(file, local) as stream:
        prefix = _Tally()
        prefix.take(stream, prefix_bytes)
        whole = prefix.copy()
        whole.take(stream)
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
    """Digest, bytes and line ends of what went by."""

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

    def take(self, stream: BinaryIO, limit: int | None = None) -> None:
        """Read the stream to its end, or `limit` bytes of it."""
        for block in blocks(stream.read, limit):
            self.add(block)


def blocks(read: Callable[[int], bytes], limit: int | None = None) -> Iterator[bytes]:
    """What `read` gives, in blocks, at most `limit` bytes of it."""
    left = limit
    while left is None or left > 0:
        block = read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            return
        if left is not None:
            left -= len(block)
        yield block


class CheckedStream:
    """A stream that knows, at its end, the digest of all that was read from it."""

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
        """Digest of what was read so far, hexadecimal."""
        return self._tally.digest.hexdigest()
