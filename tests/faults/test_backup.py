"""A home is backed up, lost and restored elsewhere; the next day goes on as if nothing was lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from ingest.sample_shop import write_next_day
from local import airflow, postgres
from local.backup import sizes
from local.home import free_ports
from perennial.settings import Settings
from tests.commands import succeed
from tests.conftest import StartHome
from tests.faults import twins
from tests.faults.ledger import record
from tests.steps import build, land_files, rows, score, score_relations

pytestmark = pytest.mark.whole

AS_OF = date(2024, 2, 10)
SHOP = {"sample_customers": 600, "sample_days": 404}  # the day before is its last


def next_day(settings: Settings) -> date:
    return write_next_day(settings.home / "sample_shop", customers=SHOP["sample_customers"])


def scores(settings: Settings, *days: date) -> dict[tuple[str, date], pd.DataFrame]:
    """Rows of the days as BI reads them, without the run's stamps."""
    return {
        (relation, day): rows(settings, relation, day)
        for relation in score_relations()
        for day in days
    }


def models(settings: Settings) -> list[tuple[str, ...]]:
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        return connection.execute(
            "select name, value from model_version_tags where key = 'model_version' order by 1, 2"
        ).fetchall()


@dataclass
class Loss:
    """A lost home, its former contents, and its backup."""

    home: Settings
    backup: Path
    contents: dict[str, twins.Fingerprint]
    next_day: date
    scores: dict[tuple[str, date], pd.DataFrame]
    models: list[tuple[str, ...]]


@pytest.fixture(scope="module")
def loss(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Loss:
    """Run, back up while Airflow is up, run the next day without a loss, then lose the home."""
    home = start_home("sample", **SHOP)
    folder = tmp_path_factory.mktemp("backups") / "backup"
    try:
        succeed(home, "run", "--as-of", str(AS_OF))
        succeed(home, "backup", "--to", str(folder))
    finally:
        airflow.stop(home)
    contents = twins.contents(home)
    day = next_day(home)
    land_files(home, day, home.home / "sample_shop")
    build(home, day)
    score(home, day)
    loss = Loss(home, folder, contents, day, scores(home, AS_OF, day), models(home))
    postgres.stop(home)
    postgres.remove(home)
    for path in home.home.iterdir():  # the folder is the fixture's
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return loss


@pytest.fixture(scope="module")
def restored(loss: Loss, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    ports = free_ports()
    folder = tmp_path_factory.mktemp("elsewhere") / "home"
    settings = Settings(home=folder, source="sample", **SHOP, **ports)
    succeed(settings, "restore", "--from", str(loss.backup))
    postgres.start(settings)
    yield settings
    succeed(settings, "clean")


def test_every_row_of_every_table_is_back(loss: Loss, restored: Settings) -> None:
    contents = twins.contents(restored)
    missing = {name for name in loss.contents if contents.get(name) != loss.contents[name]}
    count_rows = sum(count for count, _ in loss.contents.values())
    record(
        "backup and restore",
        "the home deleted, its backup restored to another folder and other ports",
        f"{len(loss.contents) - len(missing)} of {len(loss.contents)} tables, views and registry"
        f" lists equal, {sum(sizes(loss.backup).values()) / 1e6:.0f} MB",
        rows=count_rows,
        lost=len(missing),
    )
    assert missing == set()
    assert count_rows > 10_000


def test_the_next_days_scores_are_those_of_a_home_that_was_never_lost(
    loss: Loss, restored: Settings
) -> None:
    day = next_day(restored)
    assert day == loss.next_day
    succeed(restored, "run", "--as-of", str(day))
    rows = scores(restored, AS_OF, day)
    differ = [key for key, frame in loss.scores.items() if not rows[key].equals(frame)]
    record(
        "backup and restore",
        "the next day run by Airflow in the restored home, beside one that was never lost",
        f"{len(rows) - len(differ)} of {len(rows)} score tables and dates equal, "
        f"{len(models(restored))} models, none trained anew",
        rows=sum(map(len, rows.values())),
        lost=len(differ),
    )
    assert differ == []
    assert all(len(frame) for frame in rows.values())
    assert models(restored) == loss.models
