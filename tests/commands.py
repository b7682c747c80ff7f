"""Run a home's commands in new processes, as make does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from local import airflow
from perennial.settings import REPOSITORY, Settings

TIMEOUT_SECONDS = 900


def command(
    settings: Settings,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `perennial ...` with the home's explicit settings in the environment."""
    return subprocess.run(
        [sys.executable, "-m", "command", *arguments],
        cwd=REPOSITORY,
        env=os.environ | _given(settings) | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@contextmanager
def running(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "command", *arguments],
        cwd=REPOSITORY,
        env=os.environ | _given(settings),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def _given(settings: Settings) -> dict[str, str]:
    """The home's explicit settings, as variables of the environment."""
    return {
        f"PERENNIAL_{name.upper()}": str(getattr(settings, name))
        for name in settings.model_fields_set
    }


def succeed(
    settings: Settings, *arguments: str, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command that must succeed; return its output."""
    done = command(settings, *arguments, environment=environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def wait_for_question(settings: Settings, run_id: str, task_id: str = "approve") -> None:
    """Wait until a task waits for a person, and the scheduler has registered its process's end.

    An earlier answer is lost: Airflow treats the task as killed and asks again. No person is that
    quick, but a test is.
    """
    heard = f"task_id='{task_id}', run_id='{run_id}'"
    log = airflow.log_file(settings, "scheduler")
    wait_until(
        lambda: any(
            "Received executor event" in line and heard in line
            for line in log.read_text().splitlines()
        )
    )


def wait_until(is_so: Callable[[], object], seconds: float = 300) -> None:
    """Poll until the condition is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)
