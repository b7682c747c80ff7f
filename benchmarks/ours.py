"""Our side: the scores that the product would publish for each cut.

As in the product, the model of a cut is that of its training date, the first of the month.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks import own_segments
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
    """Train and score as the product does; the features are in the home, not in the folder.

    Segments are judged on days whose features the home does not have: see own_segments.
    """
    if question == "segments":
        return own_segments.predict(OURS, folder, cut)
    loaded, day = questions.load(question), cut.date()
    predictions = Predictions()
    with connect(Settings(), "scorer") as connection:
        with predictions.timed("train"):
            store = FeatureStore(connection, for_training=True)
            model = loaded.train(training_date_of(day), store, SEED)
        with predictions.timed("score"):
            scores = loaded.score(day, model, FeatureStore(connection))[question]
    SHAPES[question](predictions, scores.reset_index(drop=True).assign(as_of=cut))
    predictions.seconds[OURS] = predictions.seconds["train"] + predictions.seconds["score"]
    print(model.name, end=" ")
    return predictions


def churn(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add the probability of an order: 1 less that of churn."""
    ids = {"customer_id": scores["customer_id"], "horizon_days": 0}
    predictions.add(OURS, ids, order_probability=1 - scores["churn_probability_90d"].astype(float))


def clv(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add the means of both horizons, and probability, median and bands where there are any."""
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
        predictions.add(OURS, ids, **columns)


def survival(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add the probabilities of no order and the expected wait."""
    predictions.add(
        OURS,
        {"customer_id": scores["customer_id"]},
        wait=scores["expected_days_to_next_order"].astype(float),
        **{f"s{days}": 1 - scores[f"order_probability_{days}d"] for days in SURVIVAL_DAYS},
    )


def demand(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add the published mean (the median where there is none) and the band."""
    mean = "demand_units_mean" if "demand_units_mean" in scores else "demand_units_p50"
    predictions.add(
        OURS,
        {"product_id": scores["product_id"], "week_start_date": scores["week_start_date"]},
        mean=scores[mean],
        **{quantile: scores[f"demand_units_{quantile}"] for quantile in ("p10", "p50", "p90")},
    )


def stages(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add the probabilities of the six stages."""
    ending = "_probability_90d"
    columns = {
        f"p_{name.removesuffix(ending)}": scores[name].astype(float)
        for name in map(str, scores)
        if name.endswith(ending)
    }
    predictions.add(OURS, {"customer_id": scores["customer_id"]}, **columns)


def next_order(predictions: Predictions, scores: pd.DataFrame) -> None:
    """Add days after the cut, amounts and families."""
    began = pd.DatetimeIndex(scores["as_of"])
    days = {
        name: (pd.DatetimeIndex(scores[f"next_order_date{ending}"]) - began).days
        for name, ending in (("days_p10", "_lower"), ("days_p50", ""), ("days_p90", "_upper"))
    }
    amounts = {
        name: scores[f"next_order_amount{ending}"].astype(float)
        for name, ending in (
            ("amount", ""), ("amount_p10", "_lower"),
            ("amount_p50", "_p50"), ("amount_p90", "_upper"),
        )
    }  # fmt: skip
    ids = {"customer_id": scores["customer_id"], "families": scores["next_order_families"]}
    predictions.add(OURS, ids, **days, **amounts)


SHAPES = {
    "churn": churn,
    "clv": clv,
    "survival": survival,
    "demand": demand,
    "stages": stages,
    "next_order": next_order,
}

if __name__ == "__main__":
    for_each_cut(sys.argv[2:], partial(predict, sys.argv[1]))
