"""dbt called by a person or an editor in dbt_project/, with the environment of a new shell."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from perennial.settings import DBT_PROJECT, Settings
from perennial.warehouse import connect
from tests.commands import succeed
from tests.conftest import StartHome
from tests.steps import land_files

CASE = Path(__file__).parent.parent / "cases" / "31-time-zone-forgotten" / "day1"
DAY = date(2018, 3, 1)
MODEL = "fct_orders"


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """A shop with other days than dbt's defaults would give."""
    settings = start_home("canonical", time_zone="America/Sao_Paulo", currency="BRL")
    land_files(settings, DAY, CASE)
    return settings


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt")


def in_a_shell(target: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run the script in dbt_project/ with only dbt's target folder set."""
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=DBT_PROJECT,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(target),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def order_days(settings: Settings) -> list[str]:
    with connect(settings, "transformer") as connection:
        if connection.execute(f"select to_regclass('marts.{MODEL}')").fetchone() == (None,):
            return []
        rows = connection.execute(f"select ordered_date::text from marts.{MODEL} order by order_id")
        return [day for (day,) in rows]


def test_dbt_parse_needs_nothing(target: Path) -> None:
    done = in_a_shell(target, "dbt parse")
    assert done.returncode == 0, done.stdout
    assert (target / "manifest.json").stat().st_size > 100_000


def test_a_build_that_knows_no_warehouse_names_the_command(target: Path) -> None:
    done = in_a_shell(target, f"dbt build --select +{MODEL}")
    assert done.returncode == 2
    assert 'PERENNIAL_TRANSFORMER_PASSWORD (run `eval "$(make dbt-env)"' in done.stdout


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        pytest.param("unset PERENNIAL_DBT_TIME_ZONE", "make dbt-env", id="no time zone"),
        pytest.param("unset PERENNIAL_AS_OF_DATE", "set PERENNIAL_AS_OF_DATE", id="no date"),
        pytest.param(
            "export PERENNIAL_DBT_SOURCE=online_retail PERENNIAL_DBT_TABLES=invoice_lines",
            "this build would be in America/Sao_Paulo, BRL, online_retail",
            id="another shop's form",
        ),
    ],
)
def test_a_build_with_another_homes_settings_is_refused_and_builds_nothing(
    home: Settings, target: Path, lacks: str, says: str
) -> None:
    before = order_days(home)
    env = succeed(home, "dbt-env")
    done = in_a_shell(target, f"{env}\n{lacks}\ndbt run --select +{MODEL}")
    assert done.returncode != 0
    assert says in " ".join(done.stdout.split())
    assert order_days(home) == before


def test_a_build_by_hand_has_the_homes_own_settings(home: Settings, target: Path) -> None:
    assert order_days(home) == []
    env = succeed(home, "dbt-env")
    assert f"export PERENNIAL_AS_OF_DATE={DAY}" in env  # the newest that was landed
    done = in_a_shell(target, f"{env}\ndbt build --select +marts --exclude resource_type:unit_test")
    assert done.returncode == 0, done.stdout
    # 01:30 UTC of the 11th, in the shop's time zone
    assert order_days(home)[:1] == ["2018-01-10"]


def test_perennial_dbt_needs_no_environment(home: Settings) -> None:
    output = succeed(
        home, "dbt", "--as-of=2018-02-01", "--", "run", "--select", "int_snapshot_dates"
    )
    assert "Completed successfully" in output
