"""Evaluate CLV out of time: predictions on a past date against the 90 days after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from ml_tasks.clv import figures as figures_of
from ml_tasks.clv import model as clv
from ml_tasks.clv import outcomes, past_dates
from ml_tasks.clv.baselines import BASELINES, FIRST, PRODUCTS
from ml_tasks.clv.model import ValueModel
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS, is_learnable, spend
from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.evaluation import customer_groups, metrics, plots
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.evaluation.cuts import known_by
from ml_tasks.evaluation.figures import Figure, rows

MODEL = ValueModel.name
YEAR_BASELINE = "repeat_of_last_365_days"
REPORTED = (
    "gini", "total_error", "abs_total_error", "mean_absolute_error", "absolute_error_of_median",
    "interval_coverage", "buyers_coverage", "orders_gini", "orders_total_error",
)  # fmt: skip
SHOWN = {"gini": "gini {:.3f} against {:.3f}", "total_error": "total {:+.0%} against {:+.0%}"}
OF_GROUPS = partial(figures_of.figures, horizon_days=HORIZON_DAYS)

Predicted = dict[str, np.ndarray]  # quantity -> shape (n,): spend, orders, lower, median, upper ...


def evaluate(
    known: Known, labelled_year: pd.DataFrame, predictions: pd.DataFrame, seed: int
) -> Evaluation:
    """Compare the combination with the baselines on the newest cuts.

    Args:
        known: Snapshots and outcomes known on the training date.
        labelled_year: Snapshots with known 365-day outcomes, whole dates.
        predictions: The members' predictions on past dates, as of `chance.predict_past` with
            `past_dates.also`.
        seed: Seed of the trees.

    Returns:
        The winner is that of `decide`; without a cut the combination wins untested. Once there are
        two years to test on, the evaluation has figures of the year ahead too.
    """
    computed: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    pictures: dict[str, bytes] = {}
    for cut, test, predicted in _predicted(known, predictions):
        for name, one in predicted.items():
            computed += rows(cut, name, _figures(test, one), len(test))
        if not pictures:
            amounts = {name: one["spend"] for name, one in predicted.items()}
            pictures = {
                "gain.png": plots.gain(spend(test), amounts),
                "deciles.png": plots.deciles(spend(test), amounts[MODEL]),
            }
            customers = {name: _with_outcome(test, amount) for name, amount in amounts.items()}
            of_groups, gaps = customer_groups.served(cut, customers, OF_GROUPS)
            computed += of_groups
    if not computed:
        return untested(MODEL)
    computed += year_ahead(known, labelled_year, seed)
    return decide(Evaluation(tuple(computed), gaps=gaps, plots=pictures))


def decide(tested: Evaluation) -> Evaluation:
    """The combination wins, unless a baseline's Gini is better by more than its spread."""
    return tested.decided(MODEL, BASELINES, "gini", HIGHER, REPORTED, SHOWN)


def _predicted(
    known: Known, predictions: pd.DataFrame
) -> list[tuple[pd.Timestamp, pd.DataFrame, dict[str, Predicted]]]:
    """For each cut, newest first: date, customers, and predictions by model."""
    if predictions.empty:
        return []
    evidence = past_dates.evidence_of(known, predictions)
    by_cut = []
    for past, test in chance.cuts(known, predictions, is_learnable):
        baselines = {
            name: _of_baseline(fit(test).predict(test), HORIZON_DAYS)
            for name, fit in BASELINES.items()
        }
        ours = _of_cut(past, evidence.loc[test.index], evidence)
        by_cut.append((past.date, test, {MODEL: ours, **baselines}))
    return by_cut


def _of_cut(past: Known, of_cut: pd.DataFrame, evidence: pd.DataFrame) -> Predicted:
    """The combination's predictions on a cut, with the levels and the spread known by then."""
    share = past_dates.spend_share_of(past.labelled)
    columns = {
        name: column for name, column in past_dates.AMOUNTS.items() if of_cut[column].notna().all()
    }
    logs = {name: of_cut[column].to_numpy(dtype=float) for name, column in columns.items()}
    learnt = past_dates.learnt(evidence, share, past.date, tuple(columns))
    order = of_cut["order"].to_numpy()
    any_spend = order * share
    mean = any_spend * np.exp(np.mean(list(logs.values()), axis=0) + learnt.shift(order, logs))
    orders = order * of_cut[past_dates.ORDERS].to_numpy(dtype=float)
    predicted = {"spend": mean, "orders": orders * np.exp(learnt.orders_level)}
    return predicted | (learnt.spread.around(any_spend, mean) if learnt.spread else {})


def _with_outcome(test: pd.DataFrame, amount: np.ndarray) -> pd.DataFrame:
    """Add the predicted and the actual spend, under the names `figures_of` reads."""
    return test.assign(predicted_spend_amount_90d=amount, happened_spend_amount=spend(test))


def _of_baseline(predicted: pd.DataFrame, days: int) -> Predicted:
    return {
        "spend": predicted[f"spend_{days}"].to_numpy(),
        "orders": predicted["orders"].to_numpy(),
    }


def year_ahead(known: Known, labelled_year: pd.DataFrame, seed: int) -> list[Figure]:
    """Figures `<metric>_365d` of the newest date with a known year; they decide nothing.

    Empty if no year is known yet, if the shop's history before that date is shorter than
    MIN_DAYS_FOR_YEAR, or if there is nothing to train on.
    """
    cut = labelled_year["as_of_date"].max()
    test = labelled_year[labelled_year["as_of_date"] == cut]
    if not outcomes.was_watched_for(test, outcomes.MIN_DAYS_FOR_YEAR):
        return []
    past = replace(known.at(cut), snapshot=test)
    if not is_learnable(past.labelled):
        return []
    years = known_by(labelled_year, cut, YEAR_HORIZON_DAYS)
    # equal weights of the members: weights from dates before the cut would double the cost
    model, _ = clv.fit(past, years, chance.no_predictions(), seed)
    predicted = model.predict(test)
    names = {"spend": "spend", "median": "median", "lower": "lower", "upper": "upper"}
    names |= {f"if_buying_{which}": f"if_buying_{which}" for which in ("lower", "upper")}
    by_model = {
        MODEL: {name: predicted[f"{column}_365"].to_numpy() for name, column in names.items()},
        YEAR_BASELINE: _of_baseline(BASELINES[FIRST](test).predict(test), YEAR_HORIZON_DAYS),
        **{
            name: _of_baseline(BASELINES[name](test).predict(test), YEAR_HORIZON_DAYS)
            for name in PRODUCTS
        },
    }
    return [
        figure
        for name, one in by_model.items()
        for figure in rows(cut, name, _of_year(_spend_figures(spend(test), one)), len(test))
    ]


def _of_year(figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{metric}_{YEAR_HORIZON_DAYS}d": value for metric, value in figures.items()}


def _figures(test: pd.DataFrame, predicted: Predicted) -> dict[str, float]:
    happened = test["outcome_count_orders"].to_numpy(dtype=float)
    return _spend_figures(spend(test), predicted) | {
        "orders_gini": metrics.normalised_gini(happened, predicted["orders"]),
        "orders_total_error": metrics.total_error(happened, predicted["orders"]),
    }


def _spend_figures(amount: np.ndarray, predicted: Predicted) -> dict[str, float]:
    """Figures of mean, median and interval; a model without a median is measured by its mean."""
    mean = predicted["spend"]
    total_error = metrics.total_error(amount, mean)
    figures = {
        "actual_total_amount": amount.sum(),
        "predicted_total_amount": mean.sum(),
        "total_error": total_error,
        "abs_total_error": abs(total_error),
        "mean_absolute_error": np.abs(amount - mean).mean(),
        "absolute_error_of_median": np.abs(amount - predicted.get("median", mean)).mean(),
        "gini": metrics.normalised_gini(amount, mean),
    }
    if "lower" in predicted:
        figures["interval_coverage"] = _coverage(amount, predicted["lower"], predicted["upper"])
        figures["buyers_coverage"] = _coverage(
            *(
                values[amount > 0]
                for values in (amount, predicted["if_buying_lower"], predicted["if_buying_upper"])
            )
        )
    return figures


def _coverage(amount: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    return float(np.mean((lower <= amount) & (amount <= upper))) if len(amount) else float("nan")
