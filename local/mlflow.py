"""MLflow's server: versions, figures, plots and cards in a browser of this machine.

It listens on loopback and asks for a login: other users of the machine have loopback, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from configparser import ConfigParser
from pathlib import Path

import httpx
import psutil

from local.airflow import MARK, log_file
from local.home import private_file, require_free_port
from ml_tasks.models import artefacts
from oncall.airflow_api import AirflowError
from perennial.settings import REPOSITORY, Settings

COMPONENT = "mlflow"
HOST = "127.0.0.1"
USER = "admin"
START_TIMEOUT_SECONDS = 120


def base_url(settings: Settings) -> str:
    """Where the UI is."""
    return f"http://{HOST}:{settings.mlflow_port}"


def environment(settings: Settings, auth_file: Path) -> dict[str, str]:
    """Environment of the server. Holds a password: hand it to a process, never print it."""
    return os.environ | {
        MARK: str(settings.home),  # so that `make down` ends it
        "MLFLOW_BACKEND_STORE_URI": settings.dsn("mlflow", "mlflow", "postgresql+psycopg2"),
        "MLFLOW_AUTH_CONFIG_PATH": str(auth_file),
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.password("mlflow_admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.password("mlflow_sessions"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nobody asks it to run anything
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(REPOSITORY),
    }


def start(settings: Settings) -> None:
    """Start the server unless it runs, and wait until it answers.

    Raises:
        AirflowError: If it ends or does not answer in time.
    """
    if is_running(settings):
        return
    require_free_port(settings.mlflow_port, "PERENNIAL_MLFLOW_PORT")
    auth_file = settings.secrets_dir / "mlflow_auth.ini"
    write_auth(settings, auth_file)
    _set_password(settings)
    with log_file(settings, COMPONENT).open("ab") as log:
        process = subprocess.Popen(
            command(settings, HOST),
            env=environment(settings, auth_file),
            cwd=settings.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _pid_file(settings).write_text(str(process.pid))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(settings):
            return
        time.sleep(0.5)
    tail = log_file(settings, COMPONENT).read_text(errors="replace").splitlines()[-20:]
    raise AirflowError("\n".join(["MLflow's server did not start; the end of its log:", *tail]))


def command(settings: Settings, host: str) -> list[str]:
    """The server as a command that listens on `host`."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
        *("--host", host, "--port", str(settings.mlflow_port), "--workers", "1"),
        # runs know where their files are; this server offers nobody a place to put others
        *("--no-serve-artifacts", "--default-artifact-root", artefacts.root(settings)),
    ]


def write_auth(settings: Settings, path: Path) -> None:
    """Where the server keeps its users: beside the runs. The file holds a password."""
    config = ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "READ",
        "database_uri": settings.dsn("mlflow", "mlflow", "postgresql+psycopg2").replace("%", "%%"),
        "admin_username": USER,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    with private_file(path) as file:
        config.write(file)


def _set_password(settings: Settings) -> None:
    """Let the password file hold: MLflow itself looks at it once, when it makes its users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's import warns of its own web framework
        from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    users, password = SqlAlchemyStore(), settings.password("mlflow_admin")
    users.init_db(settings.dsn("mlflow", "mlflow", "postgresql+psycopg2"))
    if users.has_user(USER) and not users.authenticate_user(USER, password):
        users.update_user(USER, password=password)


def is_running(settings: Settings) -> bool:
    """Whether the server of this home is alive."""
    try:
        process = psutil.Process(int(_pid_file(settings).read_text()))
        return process.environ().get(MARK) == str(settings.home)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{base_url(settings)}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _pid_file(settings: Settings) -> Path:
    return settings.home / "run" / f"{COMPONENT}.pid"
