"""Past scores against what happened, in a warehouse with planted rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_tasks.engine.publish import publish
from ml_tasks.evaluation.trust import TRUST
from ml_tasks.lookback.run import look_back
from ml_tasks.models import registry
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from tests.planted_figures import report_of

SCORED = date(2024, 3, 10)
KNOWN = SCORED + timedelta(days=90)
COUNT = 600

TABLES = """
set local role transformer;
create table features.customer_snapshots (
    as_of_date date, customer_id text, country text, days_since_first_order int,
    count_order_days int);
create table intermediate.int_customer_days (
    customer_id text, day_date date, count_orders bigint, net_amount numeric);
"""


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    """A warehouse with two tables: what was known, and what happened."""
    settings = start_home("canonical")
    with connect(settings, "perennial") as connection:
        connection.execute(TABLES)
    registry.initialise(settings)
    return settings


@pytest.fixture(autouse=True)
def planted(home: Settings) -> Iterator[None]:
    """Each customer's number modulo 100 is the probability of an order, in percent, on day 90."""
    with connect(home, "perennial") as connection:
        connection.execute(
            "insert into features.customer_snapshots"
            " select %s, to_char(n, 'FM0000'), substr('AB', mod(n / 100, 2) + 1, 1), 400, 3"
            " from generate_series(1, %s) as n",
            [SCORED, COUNT],
        )
        connection.execute(
            "insert into intermediate.int_customer_days"
            " select customer_id, %s, 1, 10 from features.customer_snapshots"
            f" where {ORDERED}",
            [KNOWN - timedelta(days=1)],
        )
    yield
    with connect(home, "perennial") as connection:
        connection.execute(
            "truncate features.customer_snapshots, intermediate.int_customer_days,"
            " ops.publications, scores.churn, scores.lookback, ops.gate_results"
        )


WORDS = "Tested on 3 past dates; combined of a 60%, b 40%."
# Of ten consecutive customers with the same probability in tenths, so many order.
ORDERED = "mod(customer_id::int / 10, 10) > mod(customer_id::int, 10)"


def chance(home: Settings) -> pd.Series:
    with connect(home, "scorer") as connection:
        known = read_frame(
            connection, "select customer_id from features.customer_snapshots order by 1"
        )
    number = known["customer_id"].astype(int)
    return pd.Series((number // 10 % 10 / 10).to_numpy(), index=known["customer_id"])


def churn_model(auc: float, training_date: date) -> TrainedModel:
    steps = {"2023-06-01": -0.01, "2023-09-01": 0.0, "2023-12-01": 0.01}
    cuts = [{"cut_date": day, "model": "trees", "auc": auc + step} for day, step in steps.items()]
    report = report_of(cuts, **{TRUST: WORDS})
    return TrainedModel("trees", training_date, {"auc": auc}, report=report)


def publish_churn(
    home: Settings, probability: pd.Series, auc: float = 0.8, day: date = SCORED
) -> None:
    model = registry.add(home, "churn", churn_model(auc, day.replace(day=1)))
    frame = pd.DataFrame(
        {
            "customer_id": probability.index.to_numpy(dtype=object),
            "churn_probability_90d": probability.to_numpy(),
            "churn_percentile_90d": 50.0,
            "churn_risk_band": "low",
            "churn_risk_band_rank": 3,
            "churn_relative_band": "3 middle",
            "score_status": "scored",
            "score_reason": None,
        }
    )
    contract = contracts.load("churn")
    contract = replace(contract, tables=contract.tables[:1])  # reasons are not compared
    for column in contract.table("churn").question_columns:
        if column.name not in frame:  # other columns are not compared
            frame[column.name] = None
    publish(home, [{"churn": frame}], contract, day, model, "test")


def compared(home: Settings, day: date = KNOWN) -> dict[tuple[str, str], dict[str, Any]]:
    with connect(home, "scorer") as connection:
        frame = read_frame(
            connection,
            "select lookback.* from scores.lookback inner join ops.publications"
            " using (as_of_date, publication_id) where as_of_date = %s",
            [day],
        )
    return {(row["metric"], row["slice"]): row for row in frame.to_dict("records")}


def test_a_planted_outcome_is_compared_on_the_day_it_is_known(home: Settings) -> None:
    publish_churn(home, 1 - chance(home))
    assert look_back(home, KNOWN - timedelta(days=1), "test")["row_counts"] == {"lookback": 0}
    summary = look_back(home, KNOWN, "test")
    assert summary["warnings"] == []
    found = compared(home)
    # 45 % of 600 customers ordered, as predicted
    assert found["churn_rate", "all"]["value"] == pytest.approx(0.55, abs=0.002)
    assert found["mean_error", "all"]["value"] == pytest.approx(0, abs=0.002)
    p = np.arange(10) / 10
    assert found["brier", "all"]["value"] == pytest.approx((p * (1 - p)).mean(), abs=0.002)
    auc = found["auc", "all"]
    assert (auc["count_judged"], auc["scored_date"], auc["horizon_days"]) == (COUNT, SCORED, 90)
    assert auc["backtest_value"] == pytest.approx(0.8)
    assert auc["backtest_spread"] == pytest.approx(0.01)
    assert (auc["judged_model_name"], auc["judged_model_trust"]) == ("trees", WORDS)
    assert {name for _, name in found} == {"all", "country: A", "country: B"}
    assert found["auc", "country: A"]["count_judged"] == COUNT / 2


def test_the_future_is_not_seen_and_a_rerun_gives_the_same_rows(home: Settings) -> None:
    publish_churn(home, 1 - chance(home))
    before = look_back(home, KNOWN, "test")
    with connect(home, "perennial") as connection:
        connection.execute(
            "insert into intermediate.int_customer_days"
            " select customer_id, %s, 1, 99 from features.customer_snapshots",
            [KNOWN],
        )
    after = look_back(home, KNOWN, "another run")
    assert after["checksum"] == before["checksum"]
    assert after["publication_id"] > before["publication_id"]


def test_scores_are_compared_once_and_only_those_in_force(home: Settings) -> None:
    publish_churn(home, chance(home))  # the wrong way round, and superseded
    publish_churn(home, 1 - chance(home))
    look_back(home, KNOWN, "test")
    assert compared(home)["auc", "all"]["value"] > 0.8
    assert look_back(home, KNOWN + timedelta(days=1), "test")["row_counts"] == {"lookback": 0}


def test_a_planted_drop_warns(home: Settings) -> None:
    random = np.random.default_rng(0)
    noise = pd.Series(random.permutation(1 - chance(home)), index=chance(home).index)
    publish_churn(home, noise)
    (warning,) = look_back(home, KNOWN, "a drop")["warnings"]
    assert f"churn of {SCORED}, 90 days: auc is 0." in warning
    assert "in its backtest 0.800, limit 0.7" in warning
    assert f"Its training: {WORDS.rstrip('.')}" in warning
    assert compared(home)["auc", "all"]["is_worse"]
    with connect(home, "scorer") as connection:
        alerts = connection.execute(
            "select severity, success from ops.gate_results where gate = 'lookback'"
            " and run_id = 'a drop' and expectation like '%%auc%%'"
        ).fetchall()
    assert alerts == [("warning", False)]


def test_a_group_that_is_served_worse_warns(home: Settings) -> None:
    probability = 1 - chance(home)
    is_even = probability.index.astype(int) // 100 % 2 == 0
    publish_churn(home, probability.where(~is_even, (probability - 0.3).clip(lower=0)))
    (warning,) = look_back(home, KNOWN, "test")["warnings"]
    assert "groups are served alike, but" in warning
    assert "for country: A" in warning


def test_what_cannot_be_compared_has_a_reason(home: Settings) -> None:
    publish_churn(home, 1 - chance(home))
    with connect(home, "perennial") as connection:
        connection.execute("update scores.churn set score_status = 'not_scored'")
    look_back(home, KNOWN, "test")
    ((row),) = compared(home).values()
    assert (row["metric"], row["score_status"], row["count_judged"]) == ("auc", "not_scored", 0)
