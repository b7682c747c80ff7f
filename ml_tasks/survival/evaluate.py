"""Out of time: trained on what was known at an earlier date, tested on the orders that followed.

A test date is a past snapshot date that every customer was watched after for the whole horizon,
so nothing is censored within it and both figures are plain averages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import chance, order_process
from ml_tasks.customers.chance import PROCESS
from ml_tasks.customers.known import Known
from ml_tasks.evaluation import customer_groups
from ml_tasks.evaluation.metrics import calibration_error
from ml_tasks.evaluation.plots import lines, reliability
from ml_tasks.survival import figures as figures_of
from ml_tasks.survival.aft import fit_aft
from ml_tasks.survival.anchored import AnchoredModel, anchored, process_survival
from ml_tasks.survival.model import HORIZONS_DAYS, CoxModel, fit_cox
from ml_tasks.survival.observations import known_on
from ml_tasks.survival.recency import MIN_EVENTS, MIN_FOLLOW_UP_DAYS, RecencyModel, fit_recency
from ml_tasks.survival.rhythm import fit_rhythm
from ml_tasks.survival.shop_days import fit_shop_days

CALIBRATION_DAYS = (30, 90, 180)
# The cuts' test windows don't overlap, or one season would count twice.
MAX_CUTS = 2


@dataclass(frozen=True)
class Told:
    """The combined chance of an order within 90 days, as it was told on past dates.

    Attributes:
        known: What may be seen.
        chance: A row per date and customer: as_of_date, origin_date, customer_id,
            order_probability.
    """

    known: Known
    chance: pd.DataFrame

    @classmethod
    def of(cls, known: Known, told: pd.DataFrame) -> Told:
        """From what `chance.tell` told."""
        frame = told[["as_of_date", "origin_date"]].assign(
            customer_id=known.labelled.loc[told.index, "customer_id"],
            order_probability=chance.combined(known, told) if len(told) else [],
        )
        return cls(known, frame)

    @property
    def origins(self) -> list[pd.Timestamp]:
        """Dates on which members were fitted."""
        return [pd.Timestamp(day) for day in self.chance["origin_date"].unique()]

    def on(self, cut: pd.Timestamp, test: pd.DataFrame) -> pd.DataFrame:
        """The rows of `test` that something was told of, with it."""
        asked = self.chance[self.chance["as_of_date"] == cut]
        return test.merge(asked[["customer_id", "order_probability"]], on="customer_id")


def evaluate(
    observations: pd.DataFrame,
    training_date: pd.Timestamp,
    counts: pd.DataFrame,
    told: Told | None = None,
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Figures of the combination, of Cox's model, of the baseline and of an AFT beside them.

    Args:
        observations: As of `observations_of`, known on `training_date`.
        training_date: Nothing of that day or later is in them.
        counts: Columns of features.shop_days.
        told: For the combination, on whose origins the cuts then lie; None: there is none.

    Returns:
        One entry per test date, newest first, and plots of the newest; both empty where the shop
        was not watched for long enough.
    """
    report: list[dict[str, Any]] = []
    plots: dict[str, bytes] = {}
    dates = sorted(observations["snapshot_date"].unique())
    horizon_days = min(max(HORIZONS_DAYS), (training_date - dates[0]).days // 2) if dates else 0
    if horizon_days < MIN_FOLLOW_UP_DAYS:
        return report, plots
    end = training_date
    for cut in sorted(told.origins if told and told.origins else dates, reverse=True):
        if (end - cut).days < horizon_days:
            continue
        past = known_on(observations, cut)
        if len(report) == MAX_CUTS or not is_enough(past, cut):
            break
        test = observations[observations["snapshot_date"] == cut]
        if told and told.origins:
            test = told.on(cut, test)
        survival = _curves(past, test, cut, counts, told)
        survival = {name: s[:, : horizon_days + 1] for name, s in survival.items()}
        days = test["days"].to_numpy()
        report.append(
            {
                "cut_date": str(cut.date()),
                "horizon_days": horizon_days,
                "count_customers": len(test),
                "ordered_rate": float((days <= horizon_days).mean()),
                **{name: figures(s, days) for name, s in survival.items()},
            }
        )
        if len(report) == 1:
            report[0]["groups"] = [
                {"model": name, **served(test, s)} for name, s in survival.items()
            ]
        plots = plots or plots_of(survival, days)
        end = cut
    return report, plots


def _curves(
    past: pd.DataFrame,
    test: pd.DataFrame,
    cut: pd.Timestamp,
    counts: pd.DataFrame,
    told: Told | None,
) -> dict[str, np.ndarray]:
    """S(t) of the test's customers by model, each fitted to what was known on the cut."""
    shop_days = fit_shop_days(test.rename(columns={"snapshot_date": "as_of_date"}), counts)
    fitted = [m for m in (fit_cox(past, cut, shop_days), fit_recency(past)) if m]
    survival = {m.name: m.survival(test, cut) for m in fitted}
    aft = fit_aft(past, shop_days)
    beside = {aft.name: aft.survival(test, cut)} if aft else {}
    if told is None or "order_probability" not in test:
        return survival | beside
    process = order_process.fit(PROCESS, told.known.at(cut).snapshot)
    shapes, rhythm = [process_survival(process, test), *survival.values()], fit_rhythm(past)
    in_rhythm = rhythm.survival(test, cut) if rhythm else None
    said = anchored(shapes, test["order_probability"].to_numpy(dtype=float), in_rhythm)
    return {AnchoredModel.name: said, **survival, **beside}


def served(test: pd.DataFrame, survival: np.ndarray) -> dict[str, Any]:
    """Figures of the first 90 days after a date by group of customers, and gaps between groups.

    Args:
        test: Observations of the date, watched for so long at least.
        survival: What a model said, S(t) of each, shape (n_rows, n_days + 1).
    """
    rows = test.assign(
        order_probability_90d=1 - survival[:, MIN_FOLLOW_UP_DAYS],
        expected_days_to_next_order=survival[:, 1:].sum(axis=1),
        happened_days=test["days"],
    )
    told = partial(figures_of.figures, horizon_days=MIN_FOLLOW_UP_DAYS)
    return customer_groups.as_report(customer_groups.by_group(rows, told))


def plots_of(survival: dict[str, np.ndarray], days: np.ndarray) -> dict[str, bytes]:
    """What each model said against what happened: customer by customer, and day by day."""
    horizon_days = next(iter(survival.values())).shape[1] - 1
    pictures = {
        f"calibration_{within}d.png": reliability(
            days <= within, {name: 1 - s[:, within] for name, s in survival.items()}
        )
        for within in CALIBRATION_DAYS
        if within <= horizon_days
    }
    grid = np.arange(horizon_days + 1)
    means = {name: (grid, s.mean(axis=0)) for name, s in survival.items()}
    means["what happened"] = grid, (days[:, None] > grid).mean(axis=0)
    pictures["mean_survival.png"] = lines("days", "share without an order", means)
    return pictures


def is_enough(observations: pd.DataFrame, known_date: pd.Timestamp) -> bool:
    """Whether a model can be fitted to what was known on a date."""
    if observations.empty or observations["is_ordered"].sum() < MIN_EVENTS:
        return False
    return (known_date - observations["snapshot_date"].min()).days >= MIN_FOLLOW_UP_DAYS


def figures(survival: np.ndarray, days: np.ndarray) -> dict[str, float]:
    """Concordance, integrated Brier score and calibration of one model on one test date.

    Args:
        survival: S(t) for t = 0..h, shape (n, h + 1).
        days: Until the order; above h if none came by then. Nobody is censored before h.
    """
    horizon_days = survival.shape[1] - 1
    result = {
        "concordance": concordance(days, survival.sum(axis=1), horizon_days),
        "integrated_brier": integrated_brier(days, survival),
    }
    for within in CALIBRATION_DAYS:
        if within <= horizon_days:
            probability, is_back = 1 - survival[:, within], days <= within
            result |= {
                f"mean_order_probability_{within}d": float(probability.mean()),
                f"ordered_rate_{within}d": float(is_back.mean()),
                f"calibration_error_{within}d": calibration_error(is_back, probability),
            }
    return result


def concordance(days: np.ndarray, expected_days: np.ndarray, horizon_days: int) -> float:
    """Harrell's C: the share of comparable pairs that are in the right order; .5 is guessing."""
    from lifelines.utils import concordance_index

    is_ordered = days <= horizon_days
    if not is_ordered.any():
        return float("nan")
    return float(concordance_index(np.minimum(days, horizon_days), expected_days, is_ordered))


def integrated_brier(days: np.ndarray, survival: np.ndarray) -> float:
    """Mean over days 1..h of the mean squared difference of S(t) from what happened.

    Args:
        days: Until the order; above h if none came by then. Nobody is censored before h.
        survival: S(t) for t = 0..h, shape (n, h + 1).

    Source:
        Graf et al. (1999), doi 10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529; no censoring,
        so no weights.
    """
    grid = np.arange(1, survival.shape[1])
    is_waiting = days[:, None] > grid
    return float(np.mean((is_waiting - survival[:, 1:]) ** 2))


def is_better(report: list[dict[str, Any]]) -> bool:
    """Whether Cox's model beat the baseline: on each date fitted, on average on both figures."""
    if not report or not all(CoxModel.name in cut for cut in report):
        return False
    cox, recency = (_mean(report, kind.name) for kind in (CoxModel, RecencyModel))
    return (
        cox["integrated_brier"] < recency["integrated_brier"]
        and cox["concordance"] > recency["concordance"]
    )


def _mean(report: list[dict[str, Any]], name: str) -> dict[str, float]:
    tested = [cut[name] for cut in report if name in cut]
    if not tested:
        return {}
    known = [key for key in tested[0] if all(key in cut for cut in tested)]
    return {key: float(np.mean([cut[key] for cut in tested])) for key in known}


def headlines(report: list[dict[str, Any]]) -> dict[str, float]:
    """Mean figures over the cuts, the baseline's as `baseline_<name>`; finite ones."""
    is_combined = any(AnchoredModel.name in cut for cut in report)
    ours = AnchoredModel.name if is_combined else CoxModel.name
    prefixes = {ours: "", RecencyModel.name: "baseline_"}
    return {
        prefix + key: value
        for name, prefix in prefixes.items()
        for key, value in _mean(report, name).items()
        if np.isfinite(value)
    }
