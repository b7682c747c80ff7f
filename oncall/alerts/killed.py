"""Why a task's process ended without a word, as far as its log and the kernel tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from oncall.alerts.words import KILLED
from perennial.settings import Settings

LOG_END_BYTES = 20_000
VMSTAT = Path("/proc/vmstat")
SIGNAL = re.compile(r'Process terminated by signal.*?"signal_name": ?"(SIG\w+)"')
GIVEN_UP = "Server indicated the task shouldn't be running anymore"  # Airflow's words, as SIGNAL's


def why_killed(settings: Settings, task_instance: Any) -> str:
    """One line on a try that left no exception.

    Args:
        settings: Of the home, which has the tasks' logs unless the worker is another machine's.
        task_instance: As Airflow hands it to a callback.
    """
    if getattr(task_instance, "try_number", None) is None:
        return KILLED
    log = log_file(settings, task_instance)
    try:
        said = _log_end(log)
    except FileNotFoundError:
        never_began = (
            f"{KILLED}: its try {task_instance.try_number} never began, for Airflow's API server "
            "did not answer it in time, or its worker was lost"
        )
        return never_began if log.parent.is_dir() else KILLED
    signals = SIGNAL.findall(said)
    if GIVEN_UP in said:
        return (
            f"{KILLED}: Airflow gave it up, for its API server had not answered its heartbeats; "
            "the server was busy, hung or being started"
        )
    if signals and signals[-1] == "SIGKILL":
        return f"{KILLED}: killed (SIGKILL){_of_memory()}"
    if signals:
        return f"{KILLED}: ended from outside ({signals[-1]})"
    return (
        f"{KILLED}: whoever watched over it ended with it; the scheduler or the worker was "
        "stopped or killed, or its machine went down"
    )


def log_file(settings: Settings, task_instance: Any) -> Path:
    """The log of a task's try, by the names that Airflow gives."""
    folder = settings.home / "logs" / "tasks" / f"dag_id={task_instance.dag_id}"
    folder = folder / f"run_id={task_instance.run_id}" / f"task_id={task_instance.task_id}"
    map_index = getattr(task_instance, "map_index", None)
    if map_index is not None and map_index >= 0:
        folder /= f"map_index={map_index}"
    return folder / f"attempt={task_instance.try_number}.log"


def _log_end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_END_BYTES))
        return file.read().decode(errors="replace")


def _of_memory() -> str:
    """Whether the kernel ended processes for want of memory since the machine was started."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        return ", most likely for want of memory"
    if found[1] == "0":
        return ", by somebody: the kernel has ended no process of this machine for want of memory"
    return (
        f", most likely for want of memory: the kernel has ended {found[1]} processes of this "
        "machine for that since it was started"
    )
