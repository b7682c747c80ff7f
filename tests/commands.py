"""Commands of a home in a process of their own, as make calls them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from perennial.settings import REPOSITORY, Settings

TIMEOUT_SECONDS = 900


def command(
    settings: Settings,
    *arguments: str,
    module: str = "local",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`python -m local ...`; whatever the home's settings were given, the process is given, too."""
    given = {
        f"PERENNIAL_{name.upper()}": str(getattr(settings, name))
        for name in settings.model_fields_set
    }
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=os.environ | given | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def succeed(settings: Settings, *arguments: str) -> str:
    """A command that must succeed; returns what it printed."""
    done = command(settings, *arguments)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def wait_for_question(state: Callable[[], str | None]) -> None:
    """Wait until a task asks a person, and a little longer.

    An answer that comes before the scheduler has heard that the asking process ended is lost:
    Airflow takes the task for killed and asks again. Nobody is that quick, but a test is.
    """
    wait_until(lambda: state() == "awaiting_input")
    time.sleep(5)


def wait_until(is_so: Callable[[], object], seconds: float = 300) -> None:
    """Look again and again until it is so; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)
