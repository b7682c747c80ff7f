"""Drift against the distributions stored with the model, in a real warehouse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dags.shared.alerts import alert_warnings
from ml_tasks import question as questions
from ml_tasks.drift import watch
from ml_tasks.features.shards import WHOLE
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel
from perennial.settings import Settings
from perennial.warehouse import connect

TRAINED = date(2024, 3, 1)
SCORED = date(2024, 3, 10)
COUNT = 1_000


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    """Six months of customers with nearly the same spend in each."""
    settings = start_home("canonical")
    with connect(settings, "perennial") as connection:
        connection.execute(
            "set local role transformer;"
            "create table features.customer_snapshots as"
            " select day::date as as_of_date, to_char(n, 'FM0000') as customer_id,"
            "  mod(n * 7 + extract(month from day)::int * 13, 100)::numeric as net_spend_amount,"
            "  'A' as country, true as is_in_sample"
            f" from generate_series(1, {COUNT}) as n, generate_series("
            "  timestamp '2023-10-01', timestamp '2024-03-01', interval '1 month') as day"
        )
    return settings


class Answers(Question):
    """A question that scores each customer known on the training date."""

    name = "churn"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        return TrainedModel("m", training_date, {"seed": seed})

    def score_shard(
        self, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> dict[str, pd.DataFrame]:
        chance = store.snapshot(TRAINED)["net_spend_amount"] / 100
        return {"churn": pd.DataFrame({"churn_probability_90d": chance, "score_status": "scored"})}


def rows(home: Settings) -> list[tuple[Any, ...]]:
    with connect(home, "scorer") as connection:
        return connection.execute(
            "select kind, column_name, value > threshold, n_reference, n_current from ops.drift"
            " where question = 'churn' and as_of_date = %s order by 1, 2",
            [SCORED],
        ).fetchall()


def recorded(
    home: Settings, model: TrainedModel, features: pd.DataFrame, scores: pd.DataFrame, run_id: str
) -> list[str]:
    counted = watch.tallies(model)
    counted["features"].add(features)
    counted["scores"].add(watch.scored(scores))
    return watch.record(home, "churn", SCORED, model, counted, run_id)


def test_drift_warns_and_is_replaced(
    home: Settings, webhook: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"home": home.home, "source": home.source, "pg_port": home.pg_port}
    for name, value in {**fields, "alert_urls": webhook.url}.items():
        monkeypatch.setenv(f"PERENNIAL_{name.upper()}", str(value))
    task = {
        "ti": SimpleNamespace(dag_id="score_churn", task_id="score", run_id="r", map_index=-1),
        "task": SimpleNamespace(owner="growth"),
        "dag_run": SimpleNamespace(partition_key=str(SCORED)),
    }
    with connect(home, "scorer") as connection:
        store = FeatureStore(connection)
        question = Answers()
        model = question.train(TRAINED, store, 7)
        model = watch.with_reference(model, question, store)
        now, frames = store.snapshot(TRAINED), question.score(SCORED, model, store)
    scores = frames["churn"]
    again = recorded(home, model, now, scores, "as ever")
    assert again == []
    assert rows(home) == [
        ("feature", "net_spend_amount", False, COUNT, COUNT),
        ("score", "churn_probability_90d", False, COUNT, COUNT),
    ]

    poor = now.assign(net_spend_amount=now["net_spend_amount"] / 3)
    warned = recorded(home, model, poor, scores, "poor")
    (warning,) = warned
    assert "scores of churn are distributed as in training, but net_spend_amount 0." in warning
    assert [row[2] for row in rows(home)] == [True, False]
    with connect(home, "scorer") as connection:
        alerts = connection.execute(
            "select severity, success from ops.gate_results where gate = 'drift'"
            " and run_id = 'poor' and severity = 'warning'"
        ).fetchall()
    assert alerts == [("warning", False)]

    alert_warnings({"warnings": warned}, task)
    well = recorded(home, model, now, scores, "well")
    alert_warnings({"warnings": well}, task)
    alert, recovery = (post for _, post in webhook.posts)
    assert alert["title"] == "Perennial warning: score_churn.score warns for 2024-03-10 (growth)"
    assert warning in alert["message"]
    assert "net_spend_amount" in alert["message"]
    assert recovery["title"] == "Perennial recovered: score_churn.score warns (growth)"


def test_demand_is_fed_what_sold_lately() -> None:
    """As of Wednesday the 6th, the weeks before Monday the 4th are complete."""
    mondays = pd.to_datetime(["2024-01-29", "2024-02-05", "2024-02-26", "2024-03-04"])

    class Weeks:
        shard = WHOLE

        def product_weeks(self, _: date) -> pd.DataFrame:
            return pd.DataFrame(
                {
                    "product_id": np.repeat(["a", "b"], 4),
                    "week_start_date": np.tile(mondays, 2),
                    "sold_units": [1, 2, 4, 8, 0, 0, 0, 0],
                    "avg_unit_price_amount": [3.0, 3.0, 5.0, 9.0] + [np.nan] * 4,
                }
            )

    store: Any = Weeks()
    found = questions.load("demand").inputs(date(2024, 3, 6), store)
    assert found.index.tolist() == ["a"]
    assert found.loc["a", ["sold_units_4w", "sold_units_13w"]].tolist() == [6, 7]
    assert found.loc["a", "avg_unit_price_amount_4w"] == pytest.approx(4.0)


def test_a_model_of_before_is_not_watched(home: Settings) -> None:
    model = TrainedModel("m", TRAINED, {})
    assert watch.tallies(model) == {}
    assert watch.record(home, "churn", SCORED, model, {}, "test") == []
