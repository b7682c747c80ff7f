"""Fetch a file to this machine: the local file itself, or a complete copy of a remote one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from ingest.files import LandingError, ShopFile, emptiness, require_bounded
from ingest.listing import protocols

BLOCK_BYTES = 1 << 20
CONNECT_SECONDS, SILENT_SECONDS = 60, 300  # a download may take longer; silence may not


def fetch(file: ShopFile, folder: Path) -> Path:
    """Path of the file on this machine: the local file itself, or a copy in `folder`.

    Raises:
        LandingError: If the file can't be read, is empty or too long, or if the download may be
            incomplete.
    """
    local = Path(file.path)
    try:
        if not file.is_local:
            local = folder / hashlib.sha256(file.name.encode()).hexdigest()
            with local.open("wb") as copy:
                _download(file, copy)
        with local.open("rb") as stream:
            is_empty = not stream.read(1)
    except OSError as error:
        raise LandingError(f"{file.name} can't be read: {error}") from error
    if is_empty:
        raise LandingError(emptiness(file))
    return local


def _download(file: ShopFile, copy: BinaryIO) -> None:
    bounded = _Bounded(file, copy)
    if "http" in protocols(file.filesystem):
        _download_http(file, bounded)
        return
    with file.filesystem.open(file.path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            bounded.write(block)
    size = file.filesystem.info(file.path).get("size")
    if size is not None and size != bounded.byte_count:
        raise LandingError(
            f"{file.name} broke off after {bounded.byte_count:,} of {size:,} bytes, or is still "
            "being written: land it again when it is whole"
        )


class _Bounded:
    """A copy that raises LandingError once it is longer than any real export."""

    def __init__(self, file: ShopFile, copy: BinaryIO) -> None:
        self._file, self._copy = file, copy
        self.byte_count = 0

    def write(self, block: bytes) -> None:
        self.byte_count += len(block)
        require_bounded(self._file, self.byte_count, self._file.limit_bytes)
        self._copy.write(block)


def _download_http(file: ShopFile, copy: _Bounded) -> None:
    from aiohttp import ClientError
    from fsspec.asyn import sync

    try:
        sync(file.filesystem.loop, _copy_response, file, copy)
    except (ClientError, TimeoutError) as error:
        raise LandingError(
            f"{file.name} can't be read, or broke off after {copy.byte_count:,} bytes: {error}. "
            "Land it again when its server answers in full"
        ) from error


async def _copy_response(file: ShopFile, copy: _Bounded) -> None:
    """Copy the server's response; aiohttp raises if a declared end is not reached."""
    from aiohttp import ClientTimeout

    filesystem: Any = file.filesystem
    timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    session = await filesystem.set_session()
    url = filesystem.encode_url(file.path)
    async with session.get(url, timeout=timeout, **filesystem.kwargs) as response:
        if response.status == 404:
            raise FileNotFoundError(f"there is no {file.path}")
        response.raise_for_status()
        is_chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        declares_end = response.content_length is not None or is_chunked
        if not (declares_end or file.is_gzip or file.format == "parquet"):
            raise LandingError(
                f"{file.name}: its server sends neither the length nor the end of the file, so a "
                "download that broke off would pass for complete. Send it with Content-Length, "
                "gzipped (.gz) or as Parquet: those formats mark their end"
            )
        async for block in response.content.iter_chunked(BLOCK_BYTES):
            copy.write(block)
