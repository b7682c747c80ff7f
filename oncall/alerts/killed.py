"""Explain why a task's process ended without an error, from its log and the kernel's counters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from oncall.alerts.words import KILLED
from perennial.settings import Settings

LOG_END_BYTES = 20_000
VMSTAT = Path("/proc/vmstat")
SIGNAL = re.compile(r'Process terminated by signal.*?"signal_name": ?"(SIG\w+)"')
GIVEN_UP = "Server indicated the task shouldn't be running anymore"  # Airflow's text, as in SIGNAL


def why_killed(settings: Settings, task_instance: Any) -> str:
    """One line on the cause of a try that left no exception.

    Args:
        settings: Settings of the home, which has the tasks' logs unless a worker on another machine
            ran the task.
        task_instance: The task instance that Airflow passes to a callback.
    """
    if getattr(task_instance, "try_number", None) is None:
        return KILLED
    log = log_file(settings, task_instance)
    try:
        log_end = _log_end(log)
    except FileNotFoundError:
        never_began = (
            f"{KILLED}: its try {task_instance.try_number} never began: Airflow's API server did "
            "not answer in time, or the worker was lost"
        )
        return never_began if log.parent.is_dir() else KILLED
    signals = SIGNAL.findall(log_end)
    if GIVEN_UP in log_end:
        return (
            f"{KILLED}: Airflow gave it up because the API server had not answered its heartbeats; "
            "the server was busy, hung or being started"
        )
    if signals and signals[-1] == "SIGKILL":
        return f"{KILLED}: killed (SIGKILL){_of_memory()}"
    if signals:
        return f"{KILLED}: ended from outside ({signals[-1]})"
    return (
        f"{KILLED}: its supervisor ended with it: the scheduler or the worker was stopped or "
        "killed, or its machine went down"
    )


def log_file(settings: Settings, task_instance: Any) -> Path:
    """Path of the log of a task's try, as Airflow names it."""
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
    """Clause on whether the kernel has killed processes for want of memory since boot."""
    try:
        count = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        count = None
    if count is None:
        return ", most likely for want of memory"
    if count[1] == "0":
        return ", by somebody: the kernel has ended no process of this machine for want of memory"
    return (
        f", most likely for want of memory: the kernel has ended {count[1]} processes of this "
        "machine for that reason since it was started"
    )
