"""CLV out of time: what was known at a cut, against the 90 days after it."""

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
JUDGED_BY = (
    "gini", "total_error", "abs_total_error", "mean_absolute_error", "absolute_error_of_median",
    "interval_coverage", "buyers_coverage", "orders_gini", "orders_total_error",
)  # fmt: skip
SHOWN = {"gini": "gini {:.3f} against {:.3f}", "total_error": "total {:+.0%} against {:+.0%}"}
OF_GROUPS = partial(figures_of.figures, horizon_days=HORIZON_DAYS)

Said = dict[str, np.ndarray]


def evaluate(
    known: Known, labelled_year: pd.DataFrame, said: pd.DataFrame, seed: int
) -> Evaluation:
    """Compare the combination with the baselines on the newest cuts.

    Args:
        known: What may be seen.
        labelled_year: Snapshots with known 365-day outcomes, whole dates.
        said: What was predicted on past dates, see `chance.predict_past` with `past_dates.also`.
        seed: Handed to the trees.

    Returns:
        As `decide` says; the combination where there is no cut. It has figures of the year ahead,
        too, once there are two years to test on.
    """
    found: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    pictures: dict[str, bytes] = {}
    for cut, test, predicted in _predicted(known, said):
        for name, one in predicted.items():
            found += rows(cut, name, _figures(test, one), len(test))
        if not pictures:
            amounts = {name: one["spend"] for name, one in predicted.items()}
            pictures = {
                "gain.png": plots.gain(spend(test), amounts),
                "deciles.png": plots.deciles(spend(test), amounts[MODEL]),
            }
            customers = {name: _with_outcome(test, amount) for name, amount in amounts.items()}
            of_groups, gaps = customer_groups.served(cut, customers, OF_GROUPS)
            found += of_groups
    if not found:
        return untested(MODEL)
    found += year_ahead(known, labelled_year, seed)
    return decide(Evaluation(tuple(found), gaps=gaps, plots=pictures))


def decide(tested: Evaluation) -> Evaluation:
    """The combination wins, unless a baseline's Gini is better by more than its spread."""
    return tested.decided(MODEL, BASELINES, "gini", HIGHER, JUDGED_BY, SHOWN)


def _predicted(
    known: Known, said: pd.DataFrame
) -> list[tuple[pd.Timestamp, pd.DataFrame, dict[str, Said]]]:
    """For each cut, newest first: date, customers, spend and orders by model."""
    if said.empty:
        return []
    evidence = past_dates.evidence_of(known, said)
    found = []
    for past, test in chance.cuts(known, said, is_learnable):
        baselines = {
            name: _of_baseline(fit(test).predict(test), HORIZON_DAYS)
            for name, fit in BASELINES.items()
        }
        ours = _of_cut(past, evidence.loc[test.index], evidence)
        found.append((past.date, test, {MODEL: ours, **baselines}))
    return found


def _of_cut(past: Known, asked: pd.DataFrame, evidence: pd.DataFrame) -> Said:
    """What the combination said on a cut, with the levels and the spread known by then."""
    share = past_dates.spend_share_of(past.labelled)
    columns = {
        name: column for name, column in past_dates.AMOUNTS.items() if asked[column].notna().all()
    }
    logs = {name: asked[column].to_numpy(dtype=float) for name, column in columns.items()}
    learnt = past_dates.learnt(evidence, share, past.date, tuple(columns))
    order = asked["order"].to_numpy()
    any_spend = order * share
    mean = any_spend * np.exp(np.mean(list(logs.values()), axis=0) + learnt.shift(order, logs))
    orders = order * asked[past_dates.ORDERS].to_numpy(dtype=float)
    said = {"spend": mean, "orders": orders * np.exp(learnt.orders_level)}
    return said | (learnt.spread.around(any_spend, mean) if learnt.spread else {})


def _with_outcome(test: pd.DataFrame, amount: np.ndarray) -> pd.DataFrame:
    """Customers with what was predicted and what happened, as `figures_of` reads them."""
    return test.assign(predicted_spend_amount_90d=amount, happened_spend_amount=spend(test))


def _of_baseline(predicted: pd.DataFrame, days: int) -> Said:
    return {
        "spend": predicted[f"spend_{days}"].to_numpy(),
        "orders": predicted["orders"].to_numpy(),
    }


def year_ahead(known: Known, labelled_year: pd.DataFrame, seed: int) -> list[Figure]:
    """Figures `<metric>_365d` of the newest date whose year has passed; they decide nothing.

    Empty where no year has passed, or the shop had hardly been watched before, or there is
    nothing to train on.
    """
    cut = labelled_year["as_of_date"].max()
    test = labelled_year[labelled_year["as_of_date"] == cut]
    if not outcomes.was_watched_for(test, outcomes.MIN_DAYS_FOR_YEAR):
        return []
    past = replace(known.at(cut), snapshot=test)
    if not is_learnable(past.labelled):
        return []
    years = known_by(labelled_year, cut, YEAR_HORIZON_DAYS)
    # its members count alike: to weigh them by dates before the cut would cost as much again
    model, _ = clv.fit(past, years, chance.no_predictions(), seed)
    predicted = model.predict(test)
    names = {"spend": "spend", "median": "median", "lower": "lower", "upper": "upper"}
    names |= {f"if_buying_{which}": f"if_buying_{which}" for which in ("lower", "upper")}
    said = {
        MODEL: {name: predicted[f"{column}_365"].to_numpy() for name, column in names.items()},
        YEAR_BASELINE: _of_baseline(BASELINES[FIRST](test).predict(test), YEAR_HORIZON_DAYS),
        **{
            name: _of_baseline(BASELINES[name](test).predict(test), YEAR_HORIZON_DAYS)
            for name in PRODUCTS
        },
    }
    return [
        figure
        for name, one in said.items()
        for figure in rows(cut, name, _of_year(_spend_figures(spend(test), one)), len(test))
    ]


def _of_year(figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{metric}_{YEAR_HORIZON_DAYS}d": value for metric, value in figures.items()}


def _figures(test: pd.DataFrame, predicted: Said) -> dict[str, float]:
    happened = test["outcome_count_orders"].to_numpy(dtype=float)
    return _spend_figures(spend(test), predicted) | {
        "orders_gini": metrics.normalised_gini(happened, predicted["orders"]),
        "orders_total_error": metrics.total_error(happened, predicted["orders"]),
    }


def _spend_figures(amount: np.ndarray, predicted: Said) -> dict[str, float]:
    """Figures of the mean, and of median and interval; a model without a median says its mean."""
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
