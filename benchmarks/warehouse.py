"""A separate home for each shop, landed and built by dbt for its dates, as in the product.

The home stays in the workspace for the next run. Its name contains a digest of what it was built
from: a change of the data, of dbt_project/ up to features, or of ingest/ builds a new home and
deletes the old one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pandas as pd
from psycopg import sql

from benchmarks.code import code, digest
from benchmarks.data import Data
from expectations.raw import gate_raw
from ingest.batches import close_build
from ingest.land import land
from local import postgres
from local.home import free_port
from ml_tasks.features.store import FeatureStore
from perennial.dbt import dbt
from perennial.settings import Settings
from perennial.warehouse import connect

FEATURES = ("run", "--select", "+path:models/features")
RUN_ID = "benchmark"
LAYERS = ("staging", "intermediate", "marts", "features")
BUILT_BY = ("ingest", "dbt_project/macros", *(f"dbt_project/models/{layer}" for layer in LAYERS))
WEEK = pd.Timedelta(weeks=1)
LANDED_ON = date(2100, 1, 1)  # after every order; no measurement depends on it
CUSTOMER_DAYS = sql.SQL(
    "select customer_id, day_date, count_orders, gross_spend_amount, net_amount"
    ' from intermediate.int_customer_days order by customer_id collate "C", day_date'
)
PRODUCT_WEEKS = sql.SQL(
    "select product_id, week_start_date, sold_units, sold_amount from marts.fct_demand_weekly"
    ' order by product_id collate "C", week_start_date'
)
# Families as the features of a cut name them: both sides are judged on the same.
FAMILIES = sql.SQL(
    "select distinct items.customer_id, items.ordered_date as day_date,"
    " families.product_family as family"
    " from marts.fct_order_items as items inner join features.product_families as families"
    " on families.product_id = items.product_id and families.as_of_date = %(cut)s"
    " where items.customer_id is not null"
    " order by items.customer_id, items.ordered_date, family"
)


class Home:
    """A running home of a shop."""

    def __init__(self, data: Data, folder: Path, settings: Settings) -> None:
        self.data, self.folder, self.settings = data, folder, settings

    @property
    def inputs(self) -> Path:
        """Folder of what was known before each cut, one folder per cut: all that a peer sees."""
        return self.folder / "inputs"

    def input_digest(self, cut: str) -> str:
        """Hex digest of a cut's inputs for peers."""
        return digest(sorted((self.inputs / cut).glob("*.parquet")))

    def build(self, as_of_date: date) -> bool:
        """Build the marts and features of a date; return False if they were built already."""
        done = self.folder / "built" / str(as_of_date)
        if done.exists():
            return False
        dbt(self.settings, as_of_date, *FEATURES)
        close_build(self.settings)
        done.parent.mkdir(exist_ok=True)
        done.touch()
        return True

    def outcomes(self) -> dict[str, pd.DataFrame]:
        """Everything that happened, for the judge only: `customer_days` and `product_weeks`.

        Includes `known_weeks` where not every week is known.
        """
        with connect(self.settings, "scorer") as connection:
            store = FeatureStore(connection)
            happened = {
                "customer_days": store.read(CUSTOMER_DAYS, {}),
                "product_weeks": store.read(PRODUCT_WEEKS, {}),
            }
        if self.data.known_weeks:
            happened["known_weeks"] = pd.read_parquet(self.data.known_weeks)
        return happened

    def families(self, cut: date) -> pd.DataFrame:
        """Families of each customer's days, also after the cut, as named on the cut."""
        with connect(self.settings, "scorer") as connection:
            return FeatureStore(connection).read(FAMILIES, {"cut": cut})

    def export_families(self, cut: date) -> None:
        """Write the families of the days before a cut, beside what `export` writes."""
        known = self.families(cut)
        known = known[known["day_date"] < pd.Timestamp(cut)]
        known.to_parquet(self.inputs / str(cut) / "day_families.parquet")

    def export(self, happened: dict[str, pd.DataFrame], cut: date) -> None:
        """Write what was known before a cut."""
        folder = self.inputs / str(cut)
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in before(happened, cut).items():
            frame.to_parquet(folder / f"{name}.parquet")


def before(happened: dict[str, pd.DataFrame], cut: date) -> dict[str, pd.DataFrame]:
    """The days before a cut, and the weeks that had ended by then."""
    start = pd.Timestamp(cut)
    newest = {"day_date": start - pd.Timedelta(days=1), "week_start_date": start - WEEK}
    seen = {}
    for name, frame in happened.items():
        column = next(column for column in newest if column in frame)
        seen[name] = frame[frame[column] <= newest[column]]
    return seen


@contextmanager
def home(data: Data, workspace: Path) -> Iterator[Home]:
    """Yield a shop's home, landed, with Postgres running; stop it at the end."""
    folder = workspace / f"{data.name}-{digest([data.files, *code(*BUILT_BY)])}"
    for other in workspace.glob(f"{data.name}-*"):
        if other != folder or not (folder / "landed").exists():  # interrupted, or held by the gate
            remove(other)
    with home_at(folder, data.source) as settings:
        landed = folder / "landed"
        if not landed.exists():
            landing = land(settings, LANDED_ON, str(data.files), RUN_ID).summary()
            gate_raw(settings, landing["batch_id"], LANDED_ON, RUN_ID)
            landed.touch()
        yield Home(data, folder, settings)


def order_days(settings: Settings) -> tuple[date, date]:
    """The days of the first and the newest order that landed in the canonical form."""
    query = (
        "select min(left(ordered_at, 10))::date, max(left(ordered_at, 10))::date"
        " from raw.canonical_orders where ordered_at ~ '^\\d{4}-\\d{2}-\\d{2}'"
    )
    with connect(settings, "loader") as connection:
        first, newest = connection.execute(query).fetchone() or (None, None)
    return first, newest


@contextmanager
def fresh_home(folder: Path, source: str) -> Iterator[Settings]:
    """Yield an empty home with Postgres running; the folder is deleted before and after."""
    if folder.exists():  # left by an interrupted run
        remove(folder)
    try:
        with home_at(folder, source) as settings:
            yield settings
    finally:
        remove(folder)


@contextmanager
def home_at(folder: Path, source: str) -> Iterator[Settings]:
    """Yield the folder's home, created if missing, with Postgres running; stop it at the end."""
    settings = _settings(folder, source)
    if postgres.is_running(settings):  # left by an interrupted run
        postgres.stop(settings)
    postgres.start(settings)
    try:
        yield settings
    finally:
        postgres.stop(settings)


def remove(folder: Path) -> None:
    """Stop and delete a home."""
    if (folder / "home").exists():
        settings = _settings(folder, "")
        postgres.stop(settings)
        postgres.remove(settings)
    shutil.rmtree(folder)


def _settings(folder: Path, source: str) -> Settings:
    return Settings(home=folder / "home", source=source, pg_port=free_port())
