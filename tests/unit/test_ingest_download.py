"""Remote files, from a loopback server that truncates answers or sends no length."""

from __future__ import annotations

import gzip
import io
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.download import fetch
from ingest.files import LandingError, ShopFile, examine, find

DAY = date(2011, 9, 10)
BODY = b"".join(b"%d,2011-09-09\n" % number for number in range(20_000))
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one answer, byte for byte, to a GET, and its head to a HEAD; yield the server's URL."""
    servers = []

    def start(answer: bytes) -> str:
        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += self.rfile.readline()
                head = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                self.wfile.write(head if request.startswith(b"HEAD") else answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def remote(url: str, name: str, limit_bytes: int = 10**9) -> ShopFile:
    filesystem, path = fsspec.core.url_to_fs(f"{url}/{name}")
    kind = "parquet" if name.endswith("parquet") else "csv"
    return ShopFile(
        f"{url}/{name}", name, kind, name.endswith(".gz"), filesystem, path, limit_bytes
    )


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + end


def with_length(body: bytes, length: int) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % length + body


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(chunked(BODY), id="chunked"),
        pytest.param(with_length(BODY, len(BODY)), id="with its length"),
    ],
)
def test_a_whole_answer_is_the_file(serve: Serve, tmp_path: Path, answer: bytes):
    assert fetch(remote(serve(answer), "orders.csv"), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(chunked(BODY, end=b""), id="chunked, the last chunk is missing"),
        pytest.param(chunked(BODY)[: len(BODY) // 2], id="chunked, cut in a chunk"),
        pytest.param(with_length(BODY[:-14], len(BODY)), id="a line less than its length"),
    ],
)
def test_an_answer_that_broke_off_is_no_file(serve: Serve, tmp_path: Path, answer: bytes):
    with pytest.raises(LandingError, match=r"can't be read, or broke off after [0-9,]+"):
        fetch(remote(serve(answer), "orders.csv"), tmp_path)


def test_an_answer_that_says_nothing_of_its_end_is_trusted_only_if_the_file_does(
    serve: Serve, tmp_path: Path
):
    with pytest.raises(LandingError, match="neither the length nor the end of the file"):
        fetch(remote(serve(OK + b"\r\n" + BODY), "orders.csv"), tmp_path)
    packed = gzip.compress(BODY)
    whole = remote(serve(OK + b"\r\n" + packed), "orders.csv.gz")
    assert examine(whole, fetch(whole, tmp_path)).byte_count == len(BODY)
    cut = remote(serve(OK + b"\r\n" + packed[:-9]), "orders.csv.gz")
    with pytest.raises(LandingError, match="damaged, or cut off"):
        examine(cut, fetch(cut, tmp_path))
    parquet = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), parquet)
    fetch(remote(serve(OK + b"\r\n" + parquet.getvalue()), "orders.parquet"), tmp_path)


@pytest.mark.parametrize("answer", [chunked(BODY), with_length(BODY, len(BODY))])
def test_a_file_is_bounded_while_it_is_downloaded(serve: Serve, tmp_path: Path, answer: bytes):
    with pytest.raises(LandingError, match="PERENNIAL_MAX_FILE_GB"):
        fetch(remote(serve(answer), "orders.csv", limit_bytes=len(BODY) - 1), tmp_path)
    (copy,) = tmp_path.iterdir()
    assert copy.stat().st_size < len(BODY)


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Internal Server Error"])
def test_an_error_of_the_server_is_reported_in_a_sentence(
    serve: Serve, tmp_path: Path, status: str
):
    url = serve(f"HTTP/1.1 {status}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".encode())
    with pytest.raises(LandingError, match=r"orders\.csv can't be read.*(40|50|there is no)"):
        fetch(remote(url, "orders.csv"), tmp_path)


def test_a_file_of_another_store_is_bounded_and_as_long_as_the_store_says(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/orders.csv", BODY)
    try:
        (file,) = find("memory://orders.csv", DAY)
        assert fetch(file, tmp_path).read_bytes() == BODY
        (file,) = find("memory://orders.csv", DAY, limit_bytes=1_000)
        with pytest.raises(LandingError, match="PERENNIAL_MAX_FILE_GB"):
            fetch(file, tmp_path)
        (file,) = find("memory://orders.csv", DAY)
        longer = {"size": len(BODY) + 1, "type": "file", "name": "/orders.csv"}
        monkeypatch.setattr(type(memory), "info", lambda *_, **__: longer)
        with pytest.raises(LandingError, match=r"broke off after [0-9,]+ of [0-9,]+ bytes"):
            fetch(file, tmp_path)
    finally:
        memory.rm("/orders.csv")
