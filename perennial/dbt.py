"""Run dbt as a command, for a shop and a date."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from perennial import sources
from perennial.settings import DBT_PROJECT, Settings
from perennial.shop import own

LAST_CHARACTERS = 4_000
PROFILE, TARGET = "perennial", "warehouse"
# A build without Airflow. dbt's unit tests check code, not data, so `make test` runs them.
BUILD = ("build", "--exclude", "resource_type:unit_test", "resource_type:exposure")
AS_OF_DATE = "PERENNIAL_AS_OF_DATE"  # in dbt's environment: an ISO date


class DbtError(RuntimeError):
    """dbt ended with an error; the message contains the end of its output."""


def variables(settings: Settings) -> dict[str, str]:
    """Environment that the project's vars read: the shop, its tables, the training customers.

    The date is not a var: dbt parses the whole project again when a var changes, and the date
    changes each day; see macros/as_of_date.sql.
    """
    mine = own(settings)
    tables = sources.load(settings.staging_source).tables
    return {
        "PERENNIAL_DBT_SOURCE": settings.staging_source,
        "PERENNIAL_DBT_TIME_ZONE": mine.time_zone,
        "PERENNIAL_DBT_CURRENCY": mine.currency,
        "PERENNIAL_DBT_TRAINING_CUSTOMERS": str(settings.training_customers),
        "PERENNIAL_DBT_TABLES": ",".join(sorted(table.name for table in tables)),
    }


def connection(settings: Settings) -> dict[str, str]:
    """Environment that dbt's profile and vars read. Contains a password: never log it."""
    return variables(settings) | {
        "PERENNIAL_PG_HOST": settings.pg_host,
        "PERENNIAL_PG_PORT": str(settings.pg_port),
        "PERENNIAL_TRANSFORMER_PASSWORD": settings.password("transformer"),
    }


def environment(settings: Settings) -> dict[str, str]:
    """`connection`, and the folders that dbt writes to. Contains a password: never print it."""
    return connection(settings) | {
        "DBT_TARGET_PATH": str(settings.home / "dbt"),
        "DBT_LOG_PATH": str(settings.home / "logs" / "dbt"),
        "DBT_USE_COLORS": "false",
        "DO_NOT_TRACK": "1",
    }


def environment_of(settings: Settings, as_of_date: date | None) -> dict[str, str]:
    """`environment`, with the date that features are built for, if there is one."""
    return environment(settings) | ({AS_OF_DATE: str(as_of_date)} if as_of_date else {})


def command_line(*arguments: str) -> list[str]:
    """Arguments of the command `dbt`, with the project, profile and target added."""
    return [
        *arguments,
        *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        *("--profile", PROFILE, "--target", TARGET),  # as in Cosmos; otherwise dbt parses all again
    ]


def manifest_of_dags(settings: Settings) -> Path:
    """Path of the manifest from which the DAG's tasks are made.

    It is a copy, since each dbt overwrites its own manifest in place, and a running or killed dbt
    leaves an incomplete one.
    """
    return settings.home / "manifest.json"


def parse(settings: Settings) -> None:
    """Write the manifest of this shop's dbt project.

    Raises:
        DbtError: If the project can't be parsed.
    """
    dbt(settings, None, "parse")
    draft = manifest_of_dags(settings).with_suffix(".new")
    shutil.copyfile(settings.home / "dbt" / "manifest.json", draft)
    draft.replace(manifest_of_dags(settings))


def compiled(settings: Settings, model: str, values: Mapping[str, object]) -> str:
    """The query of a model as dbt compiles it for this shop.

    Args:
        settings: Settings of the home.
        model: Name of a model.
        values: Vars of the project, by name.

    Raises:
        DbtError: If the project can't be compiled.
    """
    with tempfile.TemporaryDirectory(prefix="perennial-dbt-") as folder:
        dbt(
            *(settings, None, "compile", "--target-path", folder),
            *("--select", model, "--vars", json.dumps(values)),
        )
        (path,) = Path(folder).glob(f"compiled/**/{model}.sql")
        return path.read_text()


def dbt(
    settings: Settings, as_of_date: date | None, *arguments: str, inherits: Sequence[int] = ()
) -> str:
    """Run dbt and return what it printed.

    Args:
        settings: Settings of the home.
        as_of_date: Date that features are built for; None if nothing is built.
        arguments: Arguments of dbt.
        inherits: Descriptors of open files that dbt inherits: their locks hold while dbt runs, even
            if the caller is killed.

    Raises:
        DbtError: If a model or a test failed.
    """
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), *command_line(*arguments)],
        env=os.environ | environment_of(settings, as_of_date),
        pass_fds=inherits,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise failure(arguments, as_of_date, done.stdout + done.stderr)
    return done.stdout


def failure(arguments: Sequence[str], as_of_date: date | None, output: str) -> DbtError:
    """The error of a failed run of dbt, with the end of its output."""
    day, end = as_of_date or "any date", output[-LAST_CHARACTERS:]
    return DbtError(f"`dbt {' '.join(arguments)}` failed for {day}:\n{end}")
