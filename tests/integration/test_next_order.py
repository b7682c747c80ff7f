"""One customer, one story: next orders agree with survival and clv of the same date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from psycopg import sql

from ingest.sample_shop import generate, write
from ml_tasks import question as questions
from ml_tasks.engine.scoring import score_question
from ml_tasks.features.store import FeatureStore
from ml_tasks.models import registry
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import build, land_files

AS_OF = date(2024, 6, 20)
QUESTIONS = ("survival", "clv", "next_order")
# Measured: 6.6 % more. clv is net of refunds, and its amounts are other models'.
TOTAL_TOLERANCE = 0.15


@pytest.fixture(scope="module")
def story(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A row per customer with the published scores of the three questions."""
    settings = start_home("canonical")
    folder: Path = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=600, days=500), folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    registry.initialise(settings)
    for name in QUESTIONS:
        score_question(settings, name, AS_OF, "story")
    with connect(settings, "scorer") as connection:
        store = FeatureStore(connection)
        found, *others = (
            store.scores(name, AS_OF).set_index("customer_id").add_suffix(f"_of_{name}")
            for name in reversed(QUESTIONS)
        )
        listed = store.read(
            sql.Composed([sql.SQL("select distinct product_family from marts.dim_products")]), {}
        )
    assert (found["score_status_of_next_order"] == "scored").all()
    frame = found.join(others)
    frame.attrs["families"] = set(listed["product_family"].dropna())
    return frame


def test_the_chance_of_an_order_is_survival_s(story: pd.DataFrame) -> None:
    theirs = story["order_probability_90d_of_survival"]
    assert len(theirs) > 300
    ours = story["order_probability_90d_of_next_order"]
    assert ours.notna().all()
    assert ours.tolist() == theirs.tolist()


def test_dates_lie_within_the_horizon(story: pd.DataFrame) -> None:
    names = ("next_order_date_lower", "next_order_date", "next_order_date_upper")
    days = [(story[f"{name}_of_next_order"] - pd.Timestamp(AS_OF)).dt.days for name in names]
    assert (days[0] >= 0).all()
    assert (days[0] <= days[1]).all()
    assert (days[1] <= days[2]).all()
    assert (days[2] <= 89).all()


def test_amounts_times_orders_are_clv_s_spend_in_total(story: pd.DataFrame) -> None:
    orders = story["predicted_orders_90d_of_clv"].astype(float)
    ours = (story["next_order_amount_of_next_order"].astype(float) * orders).sum()
    theirs = story["predicted_spend_amount_90d_of_clv"].astype(float).sum()
    print(f"total {ours:,.0f} beside clv's {theirs:,.0f}: {ours / theirs - 1:+.1%}")
    assert ours == pytest.approx(theirs, rel=TOTAL_TOLERANCE)


def test_families_are_of_the_shop_s_list(story: pd.DataFrame) -> None:
    named = {name for names in story["next_order_families_of_next_order"] for name in names}
    assert named
    assert named <= story.attrs["families"]


def test_the_question_looks_at_survival_only() -> None:
    assert questions.load("next_order").contract.reads == ("survival",)
