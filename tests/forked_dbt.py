"""dbt for tests: the same command, in a fork of a process that has already imported dbt.

The import takes a third of the time of a test's build. Every call runs in a new process, as in the
product.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from datetime import date
from pathlib import Path

from perennial.dbt import command_line, environment_of, failure
from perennial.settings import Settings

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.postgres"])
LONGEST_SECONDS = 900


def dbt(settings: Settings, as_of_date: date | None, *arguments: str) -> str:
    """Run dbt and return what it printed, as `perennial.dbt.dbt` does.

    Raises:
        DbtError: If a model or a test failed, or if dbt did not end.
    """
    environment = os.environ | environment_of(settings, as_of_date)
    with tempfile.NamedTemporaryFile(prefix="perennial-dbt-") as output:
        command = command_line(*arguments)
        process = FORKS.Process(target=_invoke, args=(command, environment, output.name))
        process.start()
        process.join(LONGEST_SECONDS)
        process.kill()  # if it did not end
        process.join()
        text = Path(output.name).read_text()
    if process.exitcode:
        raise failure(arguments, as_of_date, text)
    return text


def _invoke(command: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from dbt.cli.main import cli

    cli(command, prog_name="dbt")
