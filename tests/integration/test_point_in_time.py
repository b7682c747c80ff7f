"""No step sees the scored day or later, and the order in which dates are computed is irrelevant.

Each test runs the whole chain, with the DAGs' steps, on small sample shops.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.sample_shop import generate, write
from perennial import contracts, feature_models, sources
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults import ledger
from tests.steps import build, land_files, rows, score, score_relations

AS_OF = date(2024, 1, 20)
DATES = ledger.size((AS_OF,), (date(2023, 12, 12), date(2024, 1, 5), AS_OF))
SHOP = {"seed": 3, "customers": 250, "days": 420}
TRAINING_CUSTOMERS = 120  # fewer than the shop's: past dates hold a sample
SENT = {table.name for table in sources.load("canonical").tables}
FEATURES = [model.name for model in feature_models.load() if SENT.issuperset(model.needs)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write(generate(**SHOP), folder)
    return folder


@pytest.fixture(scope="module")
def forwards(start_home: StartHome, files: Path) -> Settings:
    home = start_home("canonical", training_customers=TRAINING_CUSTOMERS)
    land_files(home, AS_OF, files)
    for day in DATES:
        build(home, day)
        score(home, day)
    return home


def change_the_future(files: Path, folder: Path) -> None:
    """Copy the files with every order, refund, customer and price from AS_OF on changed."""
    random = np.random.default_rng(1)
    orders = pd.concat(
        [
            pd.read_csv(path, dtype=str, keep_default_na=False)
            for path in sorted(files.glob("orders_*"))
        ]
    )
    later = orders[orders.ordered_at >= str(AS_OF)].order_id
    assert len(later) > 50
    customers = pd.concat(pd.read_csv(path, dtype=str) for path in files.glob("customers_*"))
    new = customers[customers.registered_at >= str(AS_OF)].customer_id
    of_new = orders[orders.customer_id.isin(new) & orders.order_id.isin(later)].order_id
    gone = {*later.sample(frac=0.5, random_state=1), *of_new}
    for path in sorted(files.iterdir()):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, on_bad_lines="skip")
        if "order_id" in frame:
            frame = frame[~frame.order_id.isin(gone)].copy()
            changed = frame.order_id.isin(later)
            if "ordered_at" in frame:
                frame.loc[changed, "country"] = "Atlantis"
            else:
                units = random.integers(1, 900, changed.sum())
                frame.loc[changed, "quantity"] = units.astype(str)
                frame.loc[changed, "unit_price_amount"] = "99.99"
        if "registered_at" in frame:
            late = frame.registered_at.str.slice(0, 10) >= str(AS_OF)
            frame = frame[~late]
            frame["country"] = "Atlantis"
        if "contacted_at" in frame:
            later_ones = frame.assign(contact_id="x" + frame.contact_id, contacted_at=str(AS_OF))
            frame = pd.concat([frame, later_ones.assign(is_held_out="true")])
        frame.to_csv(folder / path.name, index=False)


def test_the_future_changes_no_feature_and_no_score(
    start_home: StartHome, forwards: Settings, files: Path, tmp_path: Path
) -> None:
    change_the_future(files, tmp_path)
    other = start_home(
        "canonical", training_customers=TRAINING_CUSTOMERS
    )  # a separate home: no stored model to fall back on
    land_files(other, AS_OF, tmp_path)
    build(other, AS_OF)
    score(other, AS_OF)
    for table in FEATURES:
        grid = [AS_OF, date(2024, 1, 1), date(2023, 10, 1)]
        compared = 0
        for day in grid:
            ours, theirs = (rows(home, f"features.{table}", day) for home in (forwards, other))
            pd.testing.assert_frame_equal(ours, theirs, obj=f"{table} of {day}")
            compared += len(ours)
        assert compared, table
    for relation in score_relations():
        ours, theirs = (rows(home, relation, AS_OF) for home in (forwards, other))
        assert len(ours), relation
        pd.testing.assert_frame_equal(ours, theirs, obj=relation)


def backwards(home: Settings) -> None:
    for day in reversed(DATES):
        build(home, day)
        score(home, day)


def side_by_side(home: Settings) -> None:
    for day in DATES:  # the warehouse builds one date at a time, as its DAG does
        build(home, day)
    code = (
        "import sys; from datetime import date; from perennial.settings import Settings\n"
        "from tests.steps import score; score(Settings(), date.fromisoformat(sys.argv[1]))"
    )
    env = os.environ | {
        "PERENNIAL_HOME": str(home.home),
        "PERENNIAL_SOURCE": home.source,
        "PERENNIAL_PG_PORT": str(home.pg_port),
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(day)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for day in DATES
    ]
    for run in runs:
        text, _ = run.communicate(timeout=600)
        assert run.returncode == 0, text[-3000:]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(backwards, id="backwards", marks=pytest.mark.whole),
        pytest.param(side_by_side, id="side_by_side", marks=pytest.mark.whole),
    ],
)
def test_the_order_of_dates_changes_no_row(
    order: Callable[[Settings], None], start_home: StartHome, forwards: Settings, files: Path
) -> None:
    home = start_home("canonical", training_customers=TRAINING_CUSTOMERS)
    land_files(home, AS_OF, files)
    order(home)
    for day in DATES:
        for relation in score_relations():
            ours, theirs = (rows(one, relation, day) for one in (forwards, home))
            assert len(ours), f"{relation} of {day}"
            pd.testing.assert_frame_equal(ours, theirs, obj=f"{relation} of {day}")


@pytest.mark.whole
def test_dates_of_one_month_share_its_model(forwards: Settings) -> None:
    with connect(forwards, "scorer") as connection:
        found = connection.execute(
            "select question, as_of_date, model_version from ops.publications"
        ).fetchall()
    versions = {(question, day): version for question, day, version in found}
    assert len(versions) == len(DATES) * len(contracts.questions())
    for question in contracts.questions():
        assert versions[question, DATES[1]] == versions[question, DATES[2]]
        if contracts.load(question).is_trained:
            assert versions[question, DATES[0]] != versions[question, DATES[2]]
