"""Our side: what the product would publish for each cut.

The model of a cut is the one of its training date, the first of the month, as in the product.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.predictions import Predictions, for_each_cut
from ml_tasks import question as questions
from ml_tasks.features.store import FeatureStore
from ml_tasks.models.serving import SEED
from ml_tasks.trained_model import training_date_of
from perennial.settings import Settings
from perennial.warehouse import connect

OURS = "perennial"
SURVIVAL_DAYS = (30, 60, 90, 180)


def predict(question: str, folder: Path, cut: pd.Timestamp) -> Predictions:
    """Train and score as the product does; the features are in the home, not in the folder."""
    del folder
    asked, day = questions.load(question), cut.date()
    said = Predictions()
    with connect(Settings(), "scorer") as connection:
        with said.timed("train"):
            store = FeatureStore(connection, for_training=True)
            model = asked.train(training_date_of(day), store, SEED)
        with said.timed("score"):
            scores = asked.score(day, model, FeatureStore(connection))[question]
    SHAPES[question](said, scores.reset_index(drop=True))
    said.seconds[OURS] = said.seconds["train"] + said.seconds["score"]
    print(model.name, end=" ")
    return said


def churn(said: Predictions, scores: pd.DataFrame) -> None:
    """The chance of an order is what is left of the chance of churn."""
    ids = {"customer_id": scores["customer_id"], "horizon_days": 0}
    said.add(OURS, ids, order_probability=1 - scores["churn_probability_90d"].astype(float))


def clv(said: Predictions, scores: pd.DataFrame) -> None:
    """Mean, and where the contract has them, chance, median and bands, of both horizons."""
    for horizon in (90, 365):
        ids = {"customer_id": scores["customer_id"], "horizon_days": horizon}
        columns = {
            name: scores[column].astype(float)
            for name, column in (
                ("spend", f"predicted_spend_amount_{horizon}d"),
                ("spend_p10", f"predicted_spend_amount_{horizon}d_lower"),
                ("spend_p50", f"predicted_spend_amount_{horizon}d_p50"),
                ("spend_p90", f"predicted_spend_amount_{horizon}d_upper"),
                ("spend_probability", f"spend_probability_{horizon}d"),
                ("if_buying_p10", f"predicted_spend_if_buying_{horizon}d_lower"),
                ("if_buying_p50", f"predicted_spend_if_buying_{horizon}d_p50"),
                ("if_buying_p90", f"predicted_spend_if_buying_{horizon}d_upper"),
            )
            if column in scores
        }
        said.add(OURS, ids, **columns)


def survival(said: Predictions, scores: pd.DataFrame) -> None:
    """Chances of no order yet, and the expected wait."""
    said.add(
        OURS,
        {"customer_id": scores["customer_id"]},
        wait=scores["expected_days_to_next_order"].astype(float),
        **{f"s{days}": 1 - scores[f"order_probability_{days}d"] for days in SURVIVAL_DAYS},
    )


def demand(said: Predictions, scores: pd.DataFrame) -> None:
    """The published mean, where there is one, else the median; and the band."""
    mean = "demand_units_mean" if "demand_units_mean" in scores else "demand_units_p50"
    said.add(
        OURS,
        {"product_id": scores["product_id"], "week_start_date": scores["week_start_date"]},
        mean=scores[mean],
        **{quantile: scores[f"demand_units_{quantile}"] for quantile in ("p10", "p50", "p90")},
    )


SHAPES = {"churn": churn, "clv": clv, "survival": survival, "demand": demand}

if __name__ == "__main__":
    for_each_cut(sys.argv[2:], partial(predict, sys.argv[1]))
