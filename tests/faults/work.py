"""Steps in killable processes, forked from a process that has done all imports.

Forking saves the ten seconds of imports per step, so that a hundred kills take minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import traceback
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil

from benchmarks.steps import Task
from perennial import threads
from perennial.settings import REPOSITORY
from tests.faults.chain import STEPS

PRELOADED = [
    "tests.faults.work",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "great_expectations.expectations",
    "mlflow.tracking",
    "xgboost",
    "torch",
    "lifelines",
    "statsmodels.api",
    "ingest.land",
    "expectations.raw",
    "expectations.features",
    "expectations.scores",
    *(f"ml_tasks.{question}.run" for question in ("churn", "clv", "survival", "demand")),
    "ml_tasks.lookback.run",
]

threads.prepare()  # like local/preload for Airflow's tasks; forked processes inherit it
_forks = multiprocessing.get_context("forkserver")


class Work:
    """A running step in a process group of its own.

    `memory_megabytes` bounds the memory beyond what the process has before the step.
    """

    def __init__(
        self, step: str, task: Task, log: Path, memory_megabytes: int | None = None
    ) -> None:
        self.step, self.log = step, log
        _prepare()
        self._process: ForkServerProcess = _forks.Process(
            target=_do, args=(step, task, str(log), memory_megabytes)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code: 0 done, 1 failed, -9 killed; None if it still runs."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> bool:
        """Send SIGKILL to the process and its children; return whether that ended it."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # not yet the leader of its group, or ended
            self._process.kill()
        return self.wait() == -signal.SIGKILL

    def finish(self, seconds: float = 300) -> None:
        """Wait for its end, which must be a success."""
        code = self.wait(seconds)
        assert code == 0, f"{self.step} ended with {code}:\n{self.log.read_text()[-6000:]}"


def run(step: str, task: Task, log: Path) -> None:
    """Run a step from beginning to end."""
    Work(step, task, log).finish()


def _prepare() -> None:
    """Set up, before the first fork, the process that does the imports."""
    os.environ |= {
        "PYTHONPATH": str(REPOSITORY),
        **threads.ONE_EACH,  # as for Airflow's tasks, see local/airflow.py
        "GX_ANALYTICS_ENABLED": "false",
    }
    _forks.set_forkserver_preload(PRELOADED)


def _do(step: str, task: Task, log: str, memory_megabytes: int | None) -> None:
    os.setsid()
    if memory_megabytes is not None:
        limit = psutil.Process().memory_info().vms + memory_megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    try:
        STEPS[step](task)
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
