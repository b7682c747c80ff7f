"""CLV: what a known customer will spend, net, in the next 90 and 365 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
        features.shop_days                                        a row per as_of_date, day_date
Writes  scores.clv                                                a row per as_of_date, customer_id
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.clv import baselines, before, figures, outcomes, past_dates, tiers
from ml_tasks.clv import model as clv
from ml_tasks.clv.amounts import OrderAmounts
from ml_tasks.clv.baselines import BASELINES, FIRST, REPEATS
from ml_tasks.clv.evaluate import MODEL, evaluate
from ml_tasks.clv.model import ValueModel
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.comparison import untested
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Question
from ml_tasks.trained_model import TrainedModel

NAME = "clv"
HORIZONS = (HORIZON_DAYS, YEAR_HORIZON_DAYS)
YEAR_COLUMN = "predicted_spend_amount_365d"
SEASON_NOT_SEEN = (
    "the shop was watched for less than a year: seasons that nobody has seen yet count as the mean "
    "of those seen, in what is predicted for 365 days and for 90"
)


class CustomerValue(Question):
    """CLV: what will a known customer spend, net, in the next 90 and 365 days?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"gini": HIGHER, "absolute_error_of_median": LOWER}
    baselines = tuple(BASELINES)
    bias = BiasFigures("predicted_total_amount", "actual_total_amount")
    tested_days = HORIZON_DAYS
    headline = "gini"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit on grid snapshots whose 90 days had passed by `training_date`, tested out of time."""
        store = store.sample_for(training_date, HORIZON_DAYS)
        labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
        labelled_year = store.labelled_snapshots(training_date, YEAR_HORIZON_DAYS)
        snapshot, shop_days = store.snapshot(training_date), store.shop_days(training_date)
        amounts = OrderAmounts.of(snapshot)
        count_absurd = int(amounts.is_absurd(snapshot).sum())
        labelled, labelled_year, snapshot = map(
            amounts.believable, (labelled, labelled_year, snapshot)
        )
        eligibility = {
            "training_date": str(training_date),
            "count_customers": len(snapshot),
            "one_customer_in": store.one_in,
            "count_days_with_orders": len(shop_days),
            "count_snapshots_with_known_outcome": len(labelled),
            "count_followed_by_spend": int((labelled["outcome_net_spend_amount"] > 0).sum()),
            "count_needed_with_spend": outcomes.MIN_ROWS_WITH_SPEND,
            "count_with_an_order_beyond_doubt": count_absurd,
            "is_a_year_known": not labelled_year.empty,
            "is_a_year_seen": outcomes.was_watched_for(snapshot, YEAR_HORIZON_DAYS),
            "is_eligible": outcomes.is_learnable(labelled) and not snapshot.empty,
        }
        parameters: dict[str, Any] = {
            "horizon_days": HORIZON_DAYS,
            "seed": seed,
            "count_training_rows": len(labelled),
            "amounts": amounts.parameters(),
        }
        artefacts: dict[str, bytes] = {}
        evaluation, combined = untested(FIRST), ""
        if eligibility["is_eligible"]:
            known = Known.of(labelled, snapshot, shop_days)
            told = chance.tell(known, seed, past_dates.also(seed))
            evaluation = evaluate(known, labelled_year, told, seed)
            model, combination = clv.fit(known, labelled_year, told, seed)
            combined = str(combination)
        if evaluation.winner == MODEL:
            artefacts, parameters["model"] = model.artefacts(), model.parameters()
        elif not snapshot.empty:
            parameters["model"] = BASELINES[evaluation.winner](snapshot).parameters()
        warnings = [*evaluation.report.get("warnings", [])]
        if evaluation.winner == MODEL and not eligibility["is_a_year_seen"]:
            warnings.append(SEASON_NOT_SEEN)
        if count_absurd:
            warnings.append(
                f"{count_absurd} of {len(snapshot):,} customers had an order above "
                f"{amounts.largest:,.2f}, beyond doubt where {amounts.usual:,.2f} is usual: it "
                "counts as a usual one. If it is a mistake, land it corrected"
            )
        trained = TrainedModel(
            name=evaluation.winner,
            training_date=training_date,
            parameters=parameters,
            artefacts=artefacts,
            metrics=evaluation.metrics,
            report={
                **evaluation.report,
                "decision": evaluation.decision
                + (f". Chance of an order combined: {combined}" if combined else ""),
                **({COMBINED: combined} if evaluation.winner == MODEL else {}),
                "warnings": warnings,
                "eligibility": eligibility,
            },
            plots=evaluation.plots,
        )
        said = _said(snapshot, trained)
        by = YEAR_COLUMN if said[YEAR_COLUMN].notna().any() else "predicted_spend_amount_90d"
        parameters["tiers"] = {"by": by, "bounds": tiers.bounds(said[by].to_numpy(), amounts.usual)}
        return replace(trained, parameters=parameters)

    def reads(self, model: TrainedModel) -> bool:
        """Whether this code can score with a model; one stored by an older form is trained anew."""
        is_whole = model.name in REPEATS or "model" in model.parameters
        return (
            model.name in (MODEL, before.NAME, *BASELINES)
            and is_whole
            and {"tiers", "amounts"} <= model.parameters.keys()
        )

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Score every customer with an order before the date; what can't be told is null."""
        snapshot = store.snapshot(as_of_date)
        scores = pd.DataFrame(
            {
                "customer_id": snapshot["customer_id"].to_numpy(dtype=object),
                "historic_spend_amount": snapshot["net_spend_amount"]
                .to_numpy(dtype=float)
                .clip(min=0),
            }
        )
        if model.name != MODEL and not outcomes.was_watched_for(snapshot, HORIZON_DAYS):
            reason = f"the shop has been watched for fewer than {HORIZON_DAYS} days"
            return {NAME: _not_scored(scores, reason)}
        said = _said(snapshot, model)
        return {
            NAME: scores.assign(
                **{column: said[column] for column in PREDICTED},
                value_tier=_tier(snapshot, said, model, store),
                predicted_spend_note=_notes(said),
                score_status="scored",
                score_reason=None,
            )
        }

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """See `ml_tasks.clv.figures`."""
        return figures.figures(rows, horizon_days)


QUESTION = CustomerValue()


def restored(model: TrainedModel) -> ValueModel | before.ValueModel:
    """The fitted model, from parameters and artefacts alone."""
    stored = model.parameters["model"]
    if model.name == MODEL:
        return ValueModel.restored(stored, model.artefacts)
    trees = {name: model.artefacts[f"{name}.ubj"] for name in before.PARTS}
    return before.ValueModel.restored(stored, trees)


# Suffix of a column -> what the model calls it.
QUANTITIES = {
    "predicted_spend_amount_{days}d": "spend",
    "predicted_spend_amount_{days}d_lower": "lower",
    "predicted_spend_amount_{days}d_p50": "median",
    "predicted_spend_amount_{days}d_upper": "upper",
    "spend_probability_{days}d": "chance",
}
IF_BUYING = {
    f"predicted_spend_if_buying_90d_{suffix}": f"if_buying_{name}_90"
    for suffix, name in (("lower", "lower"), ("p50", "median"), ("upper", "upper"))
}
PREDICTED = (
    *(column.format(days=days) for days in HORIZONS for column in QUANTITIES),
    "predicted_orders_90d",
    *IF_BUYING,
)
# What an interval of [0, 0] says.
MOST_SPEND_NOTHING = "most will spend nothing in {days} days"


def _said(snapshot: pd.DataFrame, model: TrainedModel) -> pd.DataFrame:
    """Columns PREDICTED per row of a snapshot; NaN what the model can't tell of the shop."""
    snapshot = OrderAmounts(**model.parameters["amounts"]).believable(snapshot)
    said = pd.DataFrame(np.nan, index=range(len(snapshot)), columns=list(PREDICTED))
    if model.name in (MODEL, before.NAME):
        is_year_told = outcomes.was_watched_for(snapshot, outcomes.MIN_DAYS_FOR_YEAR)
        predicted = restored(model).predict(snapshot).reset_index(drop=True)
        said["predicted_orders_90d"] = predicted["orders"]
        for days in HORIZONS if is_year_told else HORIZONS[:1]:
            for column, name in QUANTITIES.items():
                said[column.format(days=days)] = predicted[f"{name}_{days}"]
        for column, name in IF_BUYING.items():
            said[column] = predicted.get(name, np.nan)
        return said
    baseline = baselines.restored(model.name, model.parameters.get("model", {}))
    predicted = baseline.predict(snapshot).reset_index(drop=True)
    said["predicted_spend_amount_90d"] = predicted["spend_90"]
    said["predicted_orders_90d"] = predicted["orders"]
    if "chance_90" in predicted:
        said["spend_probability_90d"] = predicted["chance_90"]
    if outcomes.was_watched_for(snapshot, YEAR_HORIZON_DAYS):
        said["predicted_spend_amount_365d"] = predicted["spend_365"]
        if "chance_365" in predicted:
            said["spend_probability_365d"] = predicted["chance_365"]
    return said


def _notes(said: pd.DataFrame) -> np.ndarray:
    """Why bounds are both 0, for the longest horizon of which they are; None where none is."""
    notes = np.full(len(said), None, dtype=object)
    for days in HORIZONS:
        upper = said[f"predicted_spend_amount_{days}d_upper"].to_numpy(dtype=float)
        notes[upper.round(2) == 0] = MOST_SPEND_NOTHING.format(days=days)
    return notes


def _tier(
    snapshot: pd.DataFrame, said: pd.DataFrame, model: TrainedModel, store: FeatureStore
) -> np.ndarray:
    """Tiers by the amounts fixed in training, steady against each customer's tier of that day."""
    by, bounds = (model.parameters["tiers"][name] for name in ("by", "bounds"))
    then = store.snapshot(model.training_date)
    before = _said(then, model)[by].set_axis(then["customer_id"].to_numpy(dtype=object))
    amount_before = before.reindex(snapshot["customer_id"]).to_numpy(dtype=float)
    return tiers.steady_tier(said[by].to_numpy(), amount_before, bounds)


def _not_scored(scores: pd.DataFrame, reason: str) -> pd.DataFrame:
    return scores.assign(
        **dict.fromkeys(PREDICTED, np.nan),
        value_tier=None,
        predicted_spend_note=None,
        score_status="not_scored",
        score_reason=reason,
    )
