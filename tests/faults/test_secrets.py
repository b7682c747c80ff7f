"""The chain runs with marked secrets; everything it leaves anywhere is searched for the marks."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg
import pytest

from ingest.sample_shop import make_files
from local import airflow, postgres, programs
from local.home import AIRFLOW_SECRETS, MLFLOW_SECRETS, free_ports
from oncall.airflow_api import Api
from perennial.bootstrap import ROLES, SUPERUSER
from perennial.settings import PII_KEY, REPOSITORY, Settings
from tests.commands import command
from tests.faults.ledger import record

pytestmark = pytest.mark.whole

AS_OF, NEVER_LANDED = date(2024, 2, 10), date(2024, 2, 11)
MARK = "Mark3dSecret"
SAMPLE_SECONDS = 0.05
DATABASES = ("airflow", "mlflow", "warehouse")


class Shop(SimpleHTTPRequestHandler):
    """HTTP server with the shop's files behind a password and a webhook that stores posts."""

    password = f"{MARK}OfTheShop"
    mail: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Basic {encoded(f'shop:{self.password}')}":
            self.send_error(401)
        else:
            super().do_GET()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.mail.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def settings(place: Path) -> Iterator[Settings]:
    """A home with the mark in all its passwords, keys and addresses."""
    ports = free_ports()
    home = Settings(home=place / "home", source="canonical", **ports)
    home.secrets_dir.mkdir(mode=0o700, parents=True)
    for name in (SUPERUSER, *ROLES, *AIRFLOW_SECRETS, *MLFLOW_SECRETS, PII_KEY):
        path = home.secrets_dir / name
        path.touch(mode=0o600)
        path.write_text(f"{MARK}{name.title()}0123456789abcdef0123456789abcdef\n")
    yield home
    airflow.stop(home)
    postgres.stop(home)
    postgres.remove(home)


def local(settings: Settings, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `perennial ...` with the passwords of the shop and the webhook in the environment."""
    headers = {"Authorization": f"Basic {encoded(f'shop:{Shop.password}')}"}
    environment = {
        "PERENNIAL_FILES": f"http://127.0.0.1:{port}/orders_of_{{as_of_date}}/",
        "FSSPEC_HTTP": json.dumps({"client_kwargs": {"headers": headers}}),
        "PERENNIAL_ALERT_URLS": f"json://perennial:{MARK}OfTheMessenger@127.0.0.1:{port}/",
    }
    return command(settings, *arguments, environment=environment)


class ProcessList:
    """Polls what `ps` shows to every user."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for folder in Path("/proc").iterdir():
                if folder.name.isdecimal():
                    try:
                        self.seen.add((folder / "cmdline").read_bytes().decode(errors="replace"))
                    except (FileNotFoundError, ProcessLookupError):
                        continue  # the process ended meanwhile

    def __enter__(self) -> ProcessList:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def left(settings: Settings, place: Path) -> dict[str, dict[str, str]]:
    """Everything that a run, a failed run, MLflow's pages and a backup leave: kind, place, text."""
    shop = place / "shop"
    make_files(
        settings.model_copy(update={"sample_customers": 600, "sample_days": 404}),
        shop / f"orders_of_{AS_OF}",
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Shop, directory=str(shop)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    call = partial(local, settings, server.server_port)
    with ProcessList() as processes:
        good = call("run", "--as-of", str(AS_OF))
        assert good.returncode == 0, good.stdout[-4000:] + good.stderr[-2000:]
        ended = [good, failed_landing(settings, server.server_port), call("ui"), call("logs")]
        ended += [call("status"), call("backup", "--to", str(place / "backup"))]
    server.shutdown()
    return {
        "what commands print": {
            str(done.args[3:]): f"{done.stdout}{done.stderr}" for done in ended
        },
        "process lists": {command: command for command in processes.seen},
        "alerts": {str(number): text for number, text in enumerate(Shop.mail)},
        "tables": {name: dumped(settings, name) for name in DATABASES},
        "the home": texts(settings.home, without=settings.secrets_dir),
        "the server's files": texts(postgres.data_folder(settings)),
        "the repository": texts(REPOSITORY, without=REPOSITORY / ".venv"),
        "the backup's list": {"manifest": (place / "backup" / "manifest.json").read_text()},
    }


def failed_landing(settings: Settings, port: int) -> subprocess.CompletedProcess[str]:
    """A landing without files, started as by Airflow's form, until its alert."""
    api = Api(settings)
    body = {"logical_date": None, "partition_key": str(NEVER_LANDED), "conf": {}}
    run = api.post("/dags/land/dagRuns", body)
    deadline = time.monotonic() + 180
    while api.get(f"/dags/land/dagRuns/{run['dag_run_id']}")["state"] != "failed":
        assert time.monotonic() < deadline
        time.sleep(1)
    while not Shop.mail:
        assert time.monotonic() < deadline
        time.sleep(1)
    return local(settings, port, "run", "--as-of", str(NEVER_LANDED))


def dumped(settings: Settings, database: str) -> str:
    done = subprocess.run(
        [
            *(programs.binary("pg_dump"), "--host", settings.pg_host, "--username", SUPERUSER),
            *("--port", str(settings.pg_port), database),
        ],
        env=os.environ | {"PGPASSWORD": settings.password(SUPERUSER)},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode(errors="replace")


def texts(folder: Path, without: Path | None = None) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_bytes().decode("latin1")
        for path in folder.rglob("*")
        if path.is_file() and not (without and path.is_relative_to(without))
    }


def needles(settings: Settings) -> list[str]:
    """The mark, and encoded forms of the secrets."""
    fernet = hashlib.sha256(settings.password("airflow_fernet").encode()).digest()
    return [
        MARK,
        encoded(f"shop:{Shop.password}"),
        base64.urlsafe_b64encode(fernet).decode(),
        encoded(f"perennial:{MARK}OfTheMessenger"),
    ]


def hits(left: dict[str, dict[str, str]], words: Iterable[str]) -> list[str]:
    words = list(words)
    return [
        f"{kind}: {where[:200]}: {text[max(0, text.index(word) - 80) :][:200]!r}"
        for kind, found in left.items()
        for where, text in found.items()
        for word in words
        if word in text
    ]


def test_no_secret_is_anywhere_but_in_its_folder(
    settings: Settings, left: dict[str, dict[str, str]]
) -> None:
    own = str(Path(__file__).relative_to(REPOSITORY))
    left["the repository"].pop(own)  # this file contains the mark
    found = hits(left, needles(settings))
    record(
        "nobody in",
        "the chain run with marked passwords, keys, alert address and shop's password",
        f"{len(found)} marks in " + ", ".join(f"{len(v)} {kind}" for kind, v in left.items()),
        searched=sum(map(len, left.values())),
        leaks=len(found),
    )
    assert found == []


def test_the_search_would_find_one(settings: Settings, left: dict[str, dict[str, str]]) -> None:
    """Each place was searched, and the chain used the secrets."""
    assert all(left.values())
    assert len(hits({"secrets": texts(settings.secrets_dir)}, [MARK])) > 12
    assert "land_files" in "".join(left["alerts"].values())
    assert any("airflow" in command and "scheduler" in command for command in left["process lists"])
    assert any("pg_basebackup" in command for command in left["process lists"])
    assert str(NEVER_LANDED) in left["tables"]["airflow"]
    assert "canonical_orders" in left["tables"]["warehouse"]
    assert "champion" in left["tables"]["mlflow"]
    assert any(path.startswith("mlflow/churn") for path in left["the home"])
    assert any(path.startswith("logs/tasks") for path in left["the home"])
    assert any(path.startswith("dbt/") for path in left["the home"])


def test_other_users_of_the_machine_read_no_environment(settings: Settings) -> None:
    """Only its own user can read a process's environment."""
    for process in airflow.processes_of(settings):
        assert os.stat(f"/proc/{process.pid}/environ").st_mode & 0o077 == 0
        assert psutil.Process(process.pid).username() == psutil.Process().username()


def test_passwords_are_not_stored_as_such(settings: Settings) -> None:
    with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        stored = connection.execute(
            "select rolname, rolpassword from pg_authid where rolcanlogin"
        ).fetchall()
    assert len(stored) == len(ROLES) + 1
    assert all(password.startswith("SCRAM-SHA-256$") for _, password in stored)
