"""CLV out of time: train on what was known at a cut, test on the 90 days after it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import model as clv
from ml_tasks.clv import outcomes
from ml_tasks.clv.baselines import BASELINES, FIRST, PRODUCTS, REPEATS
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS, is_learnable, spend
from ml_tasks.lookback.figures import clv as figures_of_customers
from ml_tasks.shared import metrics, plots, slices
from ml_tasks.shared.contest import HIGHER
from ml_tasks.shared.cuts import known_by, splits
from ml_tasks.shared.evaluation import Evaluation, clearly_better, means, told, untested

MODEL = "xgboost_two_part_on_clock"
CONSTANT = "same_for_all"
YEAR_BASELINE = "repeat_of_last_365_days"
JUDGED_BY = (
    "gini", "shape_deviance", "total_error", "abs_total_error", "mean_absolute_error",
    "absolute_error_of_median", "interval_coverage", "orders_gini", "orders_total_error",
)  # fmt: skip
POWER = 1.3
# A repeat of 0 makes any later spend impossible; the deviance is taken as if it were this share
# of the mean.
FLOOR = 0.01


def evaluate(
    labelled: pd.DataFrame, labelled_year: pd.DataFrame, shop_days: pd.DataFrame, seed: int
) -> Evaluation:
    """Compare the trees with the baselines, and with one amount for all.

    Args:
        labelled: Snapshots with known 90-day outcomes, whole dates.
        labelled_year: Snapshots with known 365-day outcomes, whole dates.
        shop_days: Columns of features.shop_days.
        seed: Handed to the trees.

    Returns:
        As `decide` says; the first baseline where there is no cut. The report tells how the year
        ahead was met, too, once there are two years to tell it from.
    """
    rows: list[dict[str, Any]] = []
    pictures: dict[str, bytes] = {}
    served: dict[str, dict[str, Any]] = {}
    for cut, train, test in splits(labelled, HORIZON_DAYS):
        if not is_learnable(train) or not is_learnable(test):
            continue
        before = shop_days[shop_days["day_date"] < cut]
        model = clv.fit(train, known_by(labelled_year, cut, YEAR_HORIZON_DAYS), test, before, seed)
        said = _said(model.predict(test), train, test)
        rows += [_row(cut, name, test, predicted) for name, predicted in said.items()]
        amounts = {name: predicted["spend"] for name, predicted in said.items() if name != CONSTANT}
        pictures = pictures or {
            "gain.png": plots.gain(spend(test), amounts),
            "deciles.png": plots.deciles(spend(test), amounts[MODEL]),
        }
        served = served or {name: _served(test, amount) for name, amount in amounts.items()}
    if not rows:
        return untested(FIRST)
    found = decide(rows, year_ahead(labelled, labelled_year, shop_days, seed), pictures)
    return replace(found, report={**found.report, **served[found.winner]})


def _served(test: pd.DataFrame, amount: np.ndarray) -> dict[str, Any]:
    """The newest cut's figures by group of customers, and gaps between groups."""
    rows = test.assign(predicted_spend_amount_90d=amount, happened_spend_amount=spend(test))
    told = partial(figures_of_customers, horizon_days=HORIZON_DAYS)
    return slices.as_report(slices.judged(rows, told))


def decide(
    rows: list[dict[str, Any]], year_rows: list[dict[str, Any]], pictures: dict[str, bytes]
) -> Evaluation:
    """Choose by the means over the cuts.

    The trees win only if they sort spend better than each repeat (Gini) and describe it better
    than one amount for all does (deviance, totals made equal, so that a season nobody could know
    of does not decide). A probability model, which has neither median nor bounds, contends where
    it sorts clearly better, see `clearly_better`. Else the baseline that sorts best does.

    Args:
        rows: A row per cut and model: `model` and the figures of JUDGED_BY.
        year_rows: The same for the year ahead; reported, not judged.
        pictures: Handed on.
    """
    figures = {name: means(rows, name, JUDGED_BY) for name in (MODEL, *BASELINES, CONSTANT)}
    contenders = [*REPEATS, *clearly_better(PRODUCTS, MODEL, rows, "gini", HIGHER)]
    baseline = max(contenders, key=lambda name: figures[name].get("gini", -1.0))
    ours, theirs, constant = figures[MODEL], figures[baseline], figures[CONSTANT]
    is_better = (
        ours["gini"] > theirs["gini"] and ours["shape_deviance"] < constant["shape_deviance"]
    )
    decision = (
        f"{MODEL} {'beats' if is_better else 'does not beat'} {baseline} and {CONSTANT}: "
        f"gini {ours['gini']:.3f} against {theirs['gini']:.3f}, "
        f"deviance {ours['shape_deviance']:.3f} against {constant['shape_deviance']:.3f}"
    )
    return Evaluation(
        winner=MODEL if is_better else baseline,
        decision=decision,
        metrics={**ours, **{f"baseline_{name}": value for name, value in theirs.items()}},
        report={"decision": decision, "cuts": rows, "year_ahead": year_rows},
        plots=pictures,
    )


def _said(
    predicted: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame
) -> dict[str, dict[str, np.ndarray]]:
    """Predicted spend and orders of the 90 days after a cut, by model; ours with its spread."""
    baselines = {
        name: _of_baseline(fit(test).predict(test), HORIZON_DAYS) for name, fit in BASELINES.items()
    }
    of_all = {
        "spend": np.full(len(test), spend(train).mean()),
        "orders": np.full(len(test), train["outcome_count_orders"].mean()),
    }
    return {MODEL: _of_horizon(predicted, HORIZON_DAYS), **baselines, CONSTANT: of_all}


def _of_baseline(predicted: pd.DataFrame, days: int) -> dict[str, np.ndarray]:
    return {
        "spend": predicted[f"spend_{days}"].to_numpy(),
        "orders": predicted["orders"].to_numpy(),
    }


def _of_horizon(predicted: pd.DataFrame, days: int) -> dict[str, np.ndarray]:
    names = {name: f"{name}_{days}" for name in ("spend", "median", "lower", "upper")}
    return {
        "orders": predicted["orders"].to_numpy(),
        **{name: predicted[column].to_numpy() for name, column in names.items()},
    }


def year_ahead(
    labelled: pd.DataFrame, labelled_year: pd.DataFrame, shop_days: pd.DataFrame, seed: int
) -> list[dict[str, Any]]:
    """The year after the newest date whose year has passed, told from what was known on that date.

    Empty where no year has passed, or the shop had hardly been watched before, or there is
    nothing to train on.
    """
    cut = labelled_year["as_of_date"].max()
    train = known_by(labelled, cut, HORIZON_DAYS)
    test = labelled_year[labelled_year["as_of_date"] == cut]
    if not outcomes.was_watched_for(test, outcomes.MIN_DAYS_FOR_YEAR) or not is_learnable(train):
        return []
    before = shop_days[shop_days["day_date"] < cut]
    model = clv.fit(train, known_by(labelled_year, cut, YEAR_HORIZON_DAYS), test, before, seed)
    said = {
        MODEL: _of_horizon(model.predict(test), YEAR_HORIZON_DAYS),
        YEAR_BASELINE: _of_baseline(BASELINES[FIRST](test).predict(test), YEAR_HORIZON_DAYS),
        **{
            name: _of_baseline(BASELINES[name](test).predict(test), YEAR_HORIZON_DAYS)
            for name in PRODUCTS
        },
    }
    return [
        {**_head(cut, name, test), **told(_spend_figures(spend(test), predicted))}
        for name, predicted in said.items()
    ]


def _row(
    cut: pd.Timestamp, model: str, test: pd.DataFrame, predicted: dict[str, np.ndarray]
) -> dict[str, Any]:
    happened = test["outcome_count_orders"].to_numpy(dtype=float)
    orders_figures = {
        "orders_gini": metrics.normalised_gini(happened, predicted["orders"]),
        "orders_total_error": metrics.total_error(happened, predicted["orders"]),
    }
    spend_figures = _spend_figures(spend(test), predicted)
    return {**_head(cut, model, test), **told(spend_figures), **told(orders_figures)}


def _head(cut: pd.Timestamp, model: str, test: pd.DataFrame) -> dict[str, Any]:
    return {"cut_date": f"{cut:%Y-%m-%d}", "model": model, "count_customers": len(test)}


def _spend_figures(amount: np.ndarray, predicted: dict[str, np.ndarray]) -> dict[str, float]:
    """Figures of the mean, and of median and interval; a model without a median says its mean."""
    mean = predicted["spend"]
    shape = np.maximum(mean / max(mean.mean(), 1e-12), FLOOR)
    total_error = metrics.total_error(amount, mean)
    figures = {
        "actual_total_amount": amount.sum(),
        "predicted_total_amount": mean.sum(),
        "total_error": total_error,
        "abs_total_error": abs(total_error),
        "mean_absolute_error": np.abs(amount - mean).mean(),
        "absolute_error_of_median": np.abs(amount - predicted.get("median", mean)).mean(),
        "gini": metrics.normalised_gini(amount, mean),
        "shape_deviance": metrics.tweedie_deviance(
            amount / amount.mean(), shape / shape.mean(), POWER
        ),
    }
    if "lower" in predicted:
        is_within = (predicted["lower"] <= amount) & (amount <= predicted["upper"])
        figures["interval_coverage"] = is_within.mean()
    return figures
