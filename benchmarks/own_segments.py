"""Our side of the segments: the product's own functions on the facts that the peers see.

The product keeps a model for months. Its features of the date on which this one is learnt are not
built in a benchmark's home, so recency, frequency and money come from the judge's `facts_at`;
tests/sql compares those of the warehouse with a computation of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.judge.segments import COUNT_RESAMPLES, MOMENTS, RESAMPLES, facts_at
from benchmarks.predictions import Predictions
from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.models.serving import SEED
from ml_tasks.segments import fit
from ml_tasks.segments.evaluate import SPEND, learn
from ml_tasks.segments.facts import FACTS, assign
from ml_tasks.segments.model import Segmentation
from ml_tasks.segments.rfm import GROUP
from ml_tasks.segments.run import too_little
from ml_tasks.trained_model import training_date_of

RFM_GROUPS = "rfm_groups"


def predict(ours: str, folder: Path, cut: pd.Timestamp) -> Predictions:
    """Segments and RFM groups of one cut, of the model that was in force 90 days before it.

    Args:
        ours: Name of our model.
        folder: Inputs of the cut.
        cut: First day of the 90 whose spend is explained.
    """
    days = pd.read_parquet(folder / "customer_days.parquet")
    moments = {moment: cut - pd.Timedelta(days=ago) for moment, ago in MOMENTS.items()}
    trained_on = pd.Timestamp(training_date_of(moments["before"].date()))
    predictions = Predictions()
    known = _facts(days, trained_on)
    if reason := too_little(known):
        print(reason, end=" ")
        for moment, day in moments.items():
            ids = {"customer_id": _facts(days, day)["customer_id"]}
            predictions.add(ours, ids, moment=moment, label=None)
        return predictions
    with predictions.timed(ours):
        scale, chosen, _ = learn(known, _labelled(days, trained_on), SEED)
        model = Segmentation.of(known, chosen.centres, scale, SEED)
        resamples = _resamples(model, known, _facts(days, moments["before"]))
    for moment, day in moments.items():
        facts = _facts(days, day)
        ids = {"customer_id": facts["customer_id"]}
        columns = resamples if moment == "before" else {}
        predictions.add(ours, ids, moment=moment, label=model.ids(facts), **columns)
        groups = model.groups.of(facts)[GROUP]
        predictions.add(RFM_GROUPS, ids, moment=moment, label=groups)
    return predictions


def _facts(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Columns customer_id and FACTS on a day."""
    facts = facts_at(days, day)
    return facts.set_axis(FACTS, axis=1).rename_axis("customer_id").reset_index()


def _labelled(days: pd.DataFrame, trained_on: pd.Timestamp) -> pd.DataFrame:
    """Snapshots on the first of each month whose outcome was known on the training date."""
    horizon = pd.Timedelta(days=HORIZON_DAYS)
    dates = pd.date_range(days["day_date"].min(), trained_on - horizon, freq="MS")
    frames = []
    for date in dates:
        facts = _facts(days, date)
        is_after = (days["day_date"] >= date) & (days["day_date"] < date + horizon)
        spent = days[is_after].groupby("customer_id")["net_amount"].sum().clip(lower=0)
        outcome = facts["customer_id"].map(spent).fillna(0)
        frames.append(facts.assign(as_of_date=date, **{SPEND: outcome}))
    empty = pd.DataFrame(columns=["customer_id", *FACTS, "as_of_date", SPEND])
    return pd.concat(frames, ignore_index=True) if frames else empty


def _resamples(
    model: Segmentation, known: pd.DataFrame, before: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Labels by as many segments that are fitted to resamples of the training date's customers."""
    points, given = model.scale.points(known), model.scale.points(before)
    random = np.random.default_rng(SEED)
    fitted = fit.kmeans(len(model.segments))
    found = {}
    for number in range(COUNT_RESAMPLES):
        rows = random.integers(0, len(points), len(points))
        found[RESAMPLES[number]] = assign(given, fitted(points[rows], SEED + 1 + number))
    return found
