"""dbt as a person calls it: with the home's own settings, in dbt_project/.

It writes into dbt_project/target, not into the home, whose files Airflow's own dbt reads.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from perennial import dbt
from perennial.settings import DBT_PROJECT, Settings, SettingsError
from perennial.warehouse import connect


def environment(settings: Settings, as_of_date: date | None) -> dict[str, str]:
    """What a dbt by hand needs in its environment. Holds a password.

    Args:
        settings: Of a home that was started.
        as_of_date: Date that features are made for; None: the newest that was published or landed.

    Raises:
        SettingsError: If there is no date yet.
    """
    day = as_of_date or _newest_date(settings)
    return dbt.connection(settings) | {dbt.AS_OF_DATE: str(day)}


def exports(settings: Settings, as_of_date: date | None) -> str:
    """The same as lines for a shell: `eval "$(make dbt-env)"`."""
    named = environment(settings, as_of_date)
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in named.items())


def run(settings: Settings, as_of_date: date | None, arguments: Sequence[str]) -> int:
    """Run dbt in dbt_project/, its output going where ours goes; returns its exit code."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), *arguments],
        cwd=DBT_PROJECT,
        env=os.environ | environment(settings, as_of_date),
        check=False,
    ).returncode


def _newest_date(settings: Settings) -> date:
    with connect(settings, "transformer") as connection:
        row = connection.execute(
            "select coalesce((select max(as_of_date) from ops.publications),"
            " (select max(as_of_date) from ops.landed_files))"
        ).fetchone()
    if row is None or row[0] is None:
        raise SettingsError(
            "no date was landed yet: `make run` first, or name one with AS_OF=2024-09-10"
        )
    return row[0]
