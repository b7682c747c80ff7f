"""Airflow on one machine: four processes beside the embedded Postgres, and its REST API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import psutil

from local.home import private_file, require_free_port
from oncall.airflow_api import AirflowError, Api, base_url, health
from perennial import dbt, threads
from perennial.settings import REPOSITORY, Settings
from perennial.shop import own

__all__ = ["AirflowError", "Api", "base_url"]  # who starts Airflow asks it, too

# Task logs are files of this machine: nobody needs the servers that would offer them to all hosts.
COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
# For the process that tasks are forked from: the folder has its airflow_local_settings.
PRELOAD = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'local' / 'preload'}"}
PACKAGES = (
    *("dags", "expectations", "ingest", "ml_tasks", "oncall", "perennial", "plugins", "privacy"),
)
START_TIMEOUT_SECONDS = 900  # as long as its processes live; on a busy machine minutes
HUNG_SECONDS = 120  # an API server that is up and answers nothing for so long is started anew
STOP_TIMEOUT_SECONDS = 20

# Marks every process that belongs to a home, whoever its parent is by now.
MARK = "PERENNIAL_PROCESS_OF"


def environment(settings: Settings) -> dict[str, str]:
    """Environment of every Airflow process of a home, and of dbt beside it.

    Holds passwords: hand it to a process, never print it.
    """
    return without_dbt(settings) | dbt.environment(settings)


def without_dbt(settings: Settings) -> dict[str, str]:
    """The same for a process that never calls dbt, and needs no password of the warehouse."""
    home = settings.home
    mine = own(settings)
    metadata = settings.dsn("airflow", "airflow", "postgresql+{}")
    airflow = {
        "core__dags_folder": str(REPOSITORY / "dags"),
        "core__plugins_folder": str(REPOSITORY / "plugins"),
        "core__load_examples": "False",
        "core__executor": "LocalExecutor",
        "core__parallelism": "6",
        "core__max_active_tasks_per_dag": "6",
        "core__dags_are_paused_at_creation": "False",
        "core__fernet_key": urlsafe_b64encode(
            sha256(settings.password("airflow_fernet").encode()).digest()
        ).decode(),
        "core__execution_api_server_url": f"{base_url(settings)}/execution/",
        "core__simple_auth_manager_users": "admin:admin",
        "core__simple_auth_manager_passwords_file": str(_passwords_file(settings)),
        "database__sql_alchemy_conn": metadata.format("psycopg2"),
        "database__sql_alchemy_conn_async": metadata.format("asyncpg"),
        "api__host": "127.0.0.1",
        "api__port": str(settings.airflow_port),
        "api__base_url": base_url(settings),
        "api__workers": "1",
        "api__secret_key": settings.password("airflow_api"),
        "api_auth__jwt_secret": settings.password("airflow_jwt"),
        "logging__base_log_folder": str(home / "logs" / "tasks"),
        "dag_processor__min_file_process_interval": "60",
        "dag_processor__print_stats_interval": "0",
        "logging__dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
        "dag_processor__parsing_pre_import_modules": "True",
        "scheduler__enable_health_check": "False",
        "scheduler__scheduler_idle_sleep_time": "0.5",
        # a scheduler or a worker that was killed is found out in two minutes, not in ten
        "scheduler__orphaned_tasks_check_interval": "30",
        "scheduler__task_instance_heartbeat_timeout": "120",
        # a task waits for an API server that is busy or being started: about 6 minutes while it
        # refuses, longer while it is silent
        "workers__execution_api_retries": "16",
        "workers__execution_api_timeout": "30",
        "cosmos__enable_telemetry": "False",
        # its default is one folder for all users and homes of a machine
        "cosmos__cache_dir": str(home / "cosmos"),
        "cosmos__propagate_logs": "False",
        # a second try of the build builds, and tells all of it again
        "cosmos__enable_watcher_reliable_retry": "False",
    }
    return (
        os.environ
        | {f"AIRFLOW__{key.upper()}": value for key, value in airflow.items()}
        | {
            MARK: str(home),
            "SPT_NOENV": "1",  # process titles must not be written over the mark
            "AIRFLOW_HOME": str(home / "airflow"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PERENNIAL_HOME": str(home),
            "PERENNIAL_SECRETS": str(settings.secrets_dir),
            "PERENNIAL_SOURCE": settings.source,
            "PERENNIAL_FILES": settings.files,
            "PERENNIAL_SCHEDULE": settings.schedule,
            "PERENNIAL_AIRFLOW_HOST": settings.airflow_host,
            "PERENNIAL_AIRFLOW_PORT": str(settings.airflow_port),
            "PERENNIAL_MLFLOW_PORT": str(settings.mlflow_port),
            "PERENNIAL_CORES": str(settings.cores),
            "PERENNIAL_ARTEFACTS": settings.artefacts,
            "PERENNIAL_TIME_ZONE": mine.time_zone,
            "PERENNIAL_CURRENCY": mine.currency,
            "PERENNIAL_TRAINING_CUSTOMERS": str(settings.training_customers),
            "PERENNIAL_SHARDS": str(settings.shards),
            "GX_ANALYTICS_ENABLED": "false",
            **threads.ONE_EACH,
        }
    )


def start(settings: Settings) -> None:
    """Start what does not run, and wait until it answers.

    Raises:
        AirflowError: If a process dies or does not answer in time.
    """
    running = _running(settings)
    if running and _code_changed(settings):
        stop(settings)  # its processes still hold the old code
        running = {}
    if set(running) == set(COMPONENTS) and _is_healthy(settings):
        return
    if "api-server" in running and _is_hung(settings):
        _end(lambda: _of_session(settings, running["api-server"].pid))  # runs go on without it
        del running["api-server"]
    if "api-server" not in running:
        require_free_port(settings.airflow_port, "PERENNIAL_AIRFLOW_PORT")
    missing = [component for component in COMPONENTS if component not in running]
    for component in missing:
        end_leftovers(settings, component)
    env = environment(settings)
    write_passwords(settings, _passwords_file(settings))
    _run([sys.executable, "-m", "airflow", "db", "migrate"], settings, env, "airflow_db")
    for component in missing:
        _spawn(component, settings, env)
    _wait_until_healthy(settings)


def _code_changed(settings: Settings) -> bool:
    """Whether a Python file of ours is newer than the oldest of the running processes."""
    newest = max(
        path.stat().st_mtime
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
    )
    return newest > min(process.create_time() for process in _running(settings).values())


def stop(settings: Settings) -> None:
    """End every process of this home but Postgres, whatever state it is in."""
    _end(partial(processes_of, settings))


def _end(find: Callable[[], list[psutil.Process]]) -> None:
    processes = find()
    for process in processes:
        _signal(process, "terminate")
    _, alive = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_SECONDS)
    # a task's supervisor may have started another in the meantime
    for process in {*alive, *find()}:
        _signal(process, "kill")
    psutil.wait_procs(alive, timeout=5)


def processes_of(settings: Settings) -> list[psutil.Process]:
    """Live processes that carry the mark of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(settings.home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # ended just now, or somebody else's
    return [process for process in found if process.pid != os.getpid()]


def end_leftovers(settings: Settings, component: str) -> None:
    """End what a component that was killed left behind.

    The workers of a scheduler hold its database session open, and so the lock on the run that it
    was about: the next scheduler would pass that run over for ever.
    """
    try:
        leader = int(_pid_file(settings, component).read_text())
    except (FileNotFoundError, ValueError):
        return
    _end(lambda: _of_session(settings, leader))


def _of_session(settings: Settings, leader: int) -> list[psutil.Process]:
    return [process for process in processes_of(settings) if _session(process) == leader]


def _session(process: psutil.Process) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None


def _signal(process: psutil.Process, verb: str) -> None:
    with suppress(psutil.NoSuchProcess):  # ended by itself
        getattr(process, verb)()


def _running(settings: Settings) -> dict[str, psutil.Process]:
    running = {}
    for component in COMPONENTS:
        try:
            process = psutil.Process(int(_pid_file(settings, component).read_text()))
            if process.environ().get(MARK) == str(settings.home):
                running[component] = process
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return running


def status(settings: Settings) -> dict[str, bool]:
    """Which of the four processes are alive."""
    running = _running(settings)
    return {component: component in running for component in COMPONENTS}


def log_file(settings: Settings, name: str) -> Path:
    """Where a process of this home writes what it has to say."""
    return settings.home / "logs" / f"{name}.log"


def _pid_file(settings: Settings, component: str) -> Path:
    return settings.home / "run" / f"{component}.pid"


def _passwords_file(settings: Settings) -> Path:
    return settings.secrets_dir / "airflow_users.json"


def write_passwords(settings: Settings, path: Path) -> None:
    """Write the users of Airflow's UI into a file for the API server alone."""
    with private_file(path) as file:
        json.dump({"admin": settings.password("airflow_admin")}, file)


def _spawn(component: str, settings: Settings, env: dict[str, str]) -> None:
    with log_file(settings, component).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", component, *COMPONENTS[component]],
            env=env | (PRELOAD if component == "scheduler" else {}),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _pid_file(settings, component).write_text(str(process.pid))


def _run(command: list[str], settings: Settings, env: dict[str, str], name: str) -> None:
    log = log_file(settings, name)
    with log.open("wb") as file:
        code = subprocess.run(
            command, env=env, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT, check=False
        ).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise AirflowError(f"`{' '.join(command[:5])}` failed; the end of {log}:\n{tail}")


def _is_healthy(settings: Settings) -> bool:
    return set(health(settings).values()) == {"healthy"}


def _is_hung(settings: Settings) -> bool:
    """Whether the API server stays silent, and not for being started just now."""
    deadline = time.monotonic() + HUNG_SECONDS
    while time.monotonic() < deadline:
        if health(settings):
            return False
        time.sleep(1)
    return True


def _wait_until_healthy(settings: Settings) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if _is_healthy(settings):
            return
        for component, alive in status(settings).items():
            if not alive:
                log = log_file(settings, component)
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                raise AirflowError(f"airflow {component} ended; the end of {log}:\n{tail}")
        time.sleep(1)
    unwell = [part for part, state in health(settings).items() if state != "healthy"]
    raise AirflowError(
        f"Airflow's processes live, and after {START_TIMEOUT_SECONDS // 60} minutes "
        f"{', '.join(unwell) or 'its API server'} is still not well: `make logs` has their last "
        "words. `make down`, then `make run` starts all of it anew and goes on where it was"
    )
