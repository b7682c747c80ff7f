"""dbt for tests: the same command, in a fork of a process that has already imported dbt.

The import takes a third of the time of a test's build. Every call runs in a new process, as in the
product. A fresh home begins with what dbt parsed for an earlier home of the same form; dbt itself
checks that it still holds.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from datetime import date
from pathlib import Path

from perennial.dbt import command_line, environment_of, failure, variables
from perennial.settings import DBT_PROJECT, REPOSITORY, Settings

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.postgres"])
LONGEST_SECONDS = 900
PARSED = "partial_parse.msgpack"  # dbt's name
CACHE = REPOSITORY / ".pytest_cache" / "dbt"


def dbt(settings: Settings, as_of_date: date | None, *arguments: str) -> str:
    """Run dbt and return what it printed, as `perennial.dbt.dbt` does.

    Raises:
        DbtError: If a model or a test failed, or if dbt did not end.
    """
    environment = os.environ | environment_of(settings, as_of_date)
    own, shared = settings.home / "dbt" / PARSED, CACHE / f"{_digest(settings)}.msgpack"
    if shared.exists() and not own.exists():
        own.parent.mkdir(exist_ok=True)
        shutil.copyfile(shared, own)
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
    if own.exists() and not shared.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        beside = shared.with_suffix(f".{os.getpid()}")
        shutil.copyfile(own, beside)
        beside.replace(shared)
    return text


def _digest(settings: Settings) -> str:
    """Hex digest of what dbt parses: the project's files, and the variables of a home."""
    total = hashlib.sha256(json.dumps(variables(settings), sort_keys=True).encode())
    for path in sorted(DBT_PROJECT.rglob("*")):
        if path.suffix in {".sql", ".yml", ".md"} and "target" not in path.parts:
            total.update(str(path).encode() + path.read_bytes())
    return total.hexdigest()[:16]


def _invoke(command: list[str], environment: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from dbt.adapters.postgres.connections import PostgresCredentials
    from dbt.cli.main import cli

    # A home's port is its own, and dbt parses all again where a key of the connection differs.
    keys = PostgresCredentials._connection_keys
    PostgresCredentials._connection_keys = lambda of: tuple(k for k in keys(of) if k != "port")
    cli(command, prog_name="dbt")
