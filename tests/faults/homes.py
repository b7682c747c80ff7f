"""Homes for fault tests: one behind a proxy, and one without any start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.steps import Task
from local import postgres
from local.home import free_port
from ml_tasks.models import registry
from perennial.settings import REPOSITORY, Settings
from tests.conftest import StartHome
from tests.faults import twins
from tests.faults.proxy import Proxy
from tests.faults.work import Work


@dataclass
class ProxiedHome:
    """A home whose steps reach Postgres through a proxy."""

    settings: Settings
    proxy: Proxy
    log: Path
    seconds: dict[str, float] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, settings: Settings) -> ProxiedHome:
        registry.initialise(settings)
        return cls(settings, Proxy(settings.pg_port), settings.home / "logs" / "steps.log")

    def start(self, step: str, task: Task) -> Work:
        behind = self.settings.model_copy(update={"pg_port": self.proxy.port})
        return Work(step, replace(task, settings=behind), self.log)

    def run(self, step: str, task: Task) -> None:
        """Run the step undisturbed and store its duration."""
        self.proxy.expect()
        started = time.monotonic()
        self.start(step, task).finish()
        self.seconds[step] = time.monotonic() - started
        self.messages[step] = self.proxy.messages


def twin_homes(start_home: StartHome) -> Iterator[tuple[ProxiedHome, ProxiedHome]]:
    """A home with broken steps, and its undisturbed twin; both score in two shards."""
    broken, twin = (ProxiedHome.begin(start_home("canonical", shards=2)) for _ in range(2))
    twins.share_key(broken.settings, twin.settings)
    yield broken, twin
    for home in (broken, twin):
        home.proxy.close()


@contextmanager
def empty_home() -> Iterator[Settings]:
    """An empty folder for a home that was never started."""
    folder = Path(tempfile.mkdtemp(prefix="perennial-test-"))
    folder.chmod(0o755)  # otherwise the database would lie outside the home
    settings = Settings(home=folder / "home", source="canonical", pg_port=free_port())
    yield settings
    postgres.stop(settings)
    postgres.remove(settings)
    shutil.rmtree(folder)


def start_apart(settings: Settings) -> subprocess.Popen[str]:
    """Run `perennial postgres start` in a process group of its own."""
    fields = {
        "PERENNIAL_HOME": str(settings.home),
        "PERENNIAL_SOURCE": settings.source,
        "PERENNIAL_PG_PORT": str(settings.pg_port),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "command", "postgres", "start"],
        cwd=REPOSITORY,
        env=os.environ | fields,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
