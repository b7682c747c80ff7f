"""MLflow's server: versions, figures, plots and cards in a browser of this machine.

It has no login of its own, so it listens on loopback only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from local.airflow import MARK, AirflowError, log_file
from local.home import require_free_port
from ml_tasks.shared import artefacts
from perennial.settings import REPOSITORY, Settings

COMPONENT = "mlflow"
HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 120


def base_url(settings: Settings) -> str:
    """Where the UI is."""
    return f"http://{HOST}:{settings.mlflow_port}"


def environment(settings: Settings) -> dict[str, str]:
    """Environment of the server. Holds a password: hand it to a process, never print it."""
    return os.environ | {
        MARK: str(settings.home),  # so that `make down` ends it
        "MLFLOW_BACKEND_STORE_URI": settings.dsn("mlflow", "mlflow", "postgresql+psycopg2"),
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
    arguments = ["server", "--host", HOST, "--port", str(settings.mlflow_port), "--workers", "1"]
    # runs know where their files are; this server offers nobody a place to put others
    arguments += ["--no-serve-artifacts"]
    arguments += ["--default-artifact-root", artefacts.root(settings)]
    with log_file(settings, COMPONENT).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            env=environment(settings),
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
