"""Evaluate survival out of time: fit to what was known on a past date, test on later orders.

A test date is a past snapshot date with the whole horizon observed for every customer. Nothing is
censored within the horizon, so all figures are plain averages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ml_tasks.customers import chance, order_process
from ml_tasks.customers.chance import PROCESS
from ml_tasks.customers.known import Known
from ml_tasks.customers.shop_days import fit_shop_days
from ml_tasks.evaluation import customer_groups
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.survival import accuracy, pictures
from ml_tasks.survival import figures as figures_of
from ml_tasks.survival.aft import fit_aft
from ml_tasks.survival.anchored import AnchoredModel, anchored, process_survival
from ml_tasks.survival.model import HORIZONS_DAYS, CoxModel, fit_cox
from ml_tasks.survival.observations import known_on
from ml_tasks.survival.recency import MIN_EVENTS, MIN_FOLLOW_UP_DAYS, RecencyModel, fit_recency
from ml_tasks.survival.rhythm import fit_rhythm

# Test windows of the cuts do not overlap: otherwise one season would count twice.
MAX_CUTS = 2
# Groups of customers are compared within the days that every evaluated shop has.
OF_GROUPS = partial(figures_of.figures, horizon_days=MIN_FOLLOW_UP_DAYS)
GROUP_METRIC = f"{{}}_{MIN_FOLLOW_UP_DAYS}d"


@dataclass(frozen=True)
class PastChance:
    """The combined chance of an order within 90 days, as predicted on past dates.

    Attributes:
        known: Snapshots and outcomes known on the training date.
        chance: A row per date and customer, with as_of_date, origin_date, customer_id,
            order_probability.
    """

    known: Known
    chance: pd.DataFrame

    @classmethod
    def of(cls, known: Known, predicted: pd.DataFrame) -> PastChance:
        """Combine the members' predictions, as of `chance.predict_past`."""
        frame = predicted[["as_of_date", "origin_date"]].assign(
            customer_id=known.labelled.loc[predicted.index, "customer_id"],
            order_probability=chance.combined(known, predicted) if len(predicted) else [],
        )
        return cls(known, frame)

    @property
    def origins(self) -> list[pd.Timestamp]:
        """Past dates on which members were fitted."""
        return [pd.Timestamp(day) for day in self.chance["origin_date"].unique()]

    def on(self, cut: pd.Timestamp, test: pd.DataFrame) -> pd.DataFrame:
        """The rows of `test` with a prediction on `cut`, and the column order_probability."""
        of_cut = self.chance[self.chance["as_of_date"] == cut]
        return test.merge(of_cut[["customer_id", "order_probability"]], on="customer_id")


def evaluate(
    observations: pd.DataFrame,
    training_date: pd.Timestamp,
    counts: pd.DataFrame,
    past_chance: PastChance | None = None,
) -> Evaluation:
    """Compare the combination with Cox's model, the baseline and a Weibull model on past dates.

    Args:
        observations: As of `observations_of`, known on `training_date`.
        training_date: The observations contain nothing of this day or later.
        counts: Columns of features.shop_days.
        past_chance: The combination's chance on past dates; the cuts are then its origins. None if
            there is no combination.

    Returns:
        Figures without a winner; empty if the observed time is too short.
    """
    computed: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    plots: dict[str, bytes] = {}
    horizon_days = horizon_of(observations, training_date)
    for cut, past, test in _tests(observations, training_date, past_chance):
        curves = _curves(past, test, cut, counts, past_chance)
        survival = {name: s[:, : horizon_days + 1] for name, s in curves.items()}
        days = test["days"].to_numpy()
        for name, s in survival.items():
            ordered = {"ordered_rate": float((days <= horizon_days).mean())}
            computed += rows(cut, name, ordered | accuracy.figures(s, days), len(test))
        if not plots:
            plots = pictures.of_cut(survival, days)
            customers = {name: _with_outcome(test, s) for name, s in survival.items()}
            of_groups, gaps = customer_groups.served(cut, customers, OF_GROUPS, GROUP_METRIC)
            computed += of_groups
    tested = Evaluation(tuple(computed), gaps=gaps, plots=plots)
    ours = AnchoredModel.name if tested.of(AnchoredModel.name) else CoxModel.name
    means = tested.means(accuracy.NAMES, {ours: "", RecencyModel.name: "baseline_"})
    return replace(tested, metrics=means)


def horizon_of(observations: pd.DataFrame, training_date: pd.Timestamp) -> int:
    """Horizon of the test in days: half of the observed days, at most the longest horizon.

    Args:
        observations: As of `observations_of`; 0 if empty.
        training_date: Day after the last observed one.
    """
    if observations.empty:
        return 0
    watched = (training_date - observations["snapshot_date"].min()).days
    return min(max(HORIZONS_DAYS), watched // 2)


def _tests(
    observations: pd.DataFrame, training_date: pd.Timestamp, past_chance: PastChance | None
) -> Iterator[tuple[pd.Timestamp, pd.DataFrame, pd.DataFrame]]:
    """Each cut, newest first: date, observations known on it, and its customers."""
    horizon_days = horizon_of(observations, training_date)
    if horizon_days < MIN_FOLLOW_UP_DAYS:
        return
    origins = past_chance.origins if past_chance else []
    end, count = training_date, 0
    for cut in sorted(origins or observations["snapshot_date"].unique(), reverse=True):
        if (end - cut).days < horizon_days:
            continue
        past = known_on(observations, cut)
        if count == MAX_CUTS or not is_enough(past, cut):
            return
        test = observations[observations["snapshot_date"] == cut]
        yield cut, past, past_chance.on(cut, test) if past_chance and origins else test
        end, count = cut, count + 1


def _curves(
    past: pd.DataFrame,
    test: pd.DataFrame,
    cut: pd.Timestamp,
    counts: pd.DataFrame,
    past_chance: PastChance | None,
) -> dict[str, np.ndarray]:
    """Model -> S(t) of the test customers, each model fitted to what was known on the cut."""
    shop_days = fit_shop_days(test.rename(columns={"snapshot_date": "as_of_date"}), counts)
    fitted = [m for m in (fit_cox(past, cut, shop_days), fit_recency(past)) if m]
    survival = {m.name: m.survival(test, cut) for m in fitted}
    aft = fit_aft(past, shop_days)
    beside = {aft.name: aft.survival(test, cut)} if aft else {}
    if past_chance is None or "order_probability" not in test:
        return survival | beside
    process = order_process.fit(PROCESS, past_chance.known.at(cut).snapshot)
    shapes, rhythm = [process_survival(process, test), *survival.values()], fit_rhythm(past)
    in_rhythm = rhythm.survival(test, cut) if rhythm else None
    combined = anchored(shapes, test["order_probability"].to_numpy(dtype=float), in_rhythm)
    return {AnchoredModel.name: combined, **survival, **beside}


def _with_outcome(test: pd.DataFrame, survival: np.ndarray) -> pd.DataFrame:
    """Add the predictions and the actual days, under the names `figures_of` reads."""
    return test.assign(
        order_probability_90d=1 - survival[:, MIN_FOLLOW_UP_DAYS],
        expected_days_to_next_order=survival[:, 1:].sum(axis=1),
        happened_days=test["days"],
    )


def is_enough(observations: pd.DataFrame, known_date: pd.Timestamp) -> bool:
    """True if the observations known on a date are enough to fit a model."""
    if observations.empty or observations["is_ordered"].sum() < MIN_EVENTS:
        return False
    return (known_date - observations["snapshot_date"].min()).days >= MIN_FOLLOW_UP_DAYS


def is_better(tested: Evaluation) -> bool:
    """True if Cox's model was fitted on every cut and beat the baseline on average.

    Cox's model must have both a lower integrated Brier score and a higher concordance.
    """
    cox, recency = CoxModel.name, RecencyModel.name
    if not tested.cuts or set(tested.of(cox)) != set(tested.cuts):
        return False
    return tested.mean(cox, "integrated_brier") < tested.mean(
        recency, "integrated_brier"
    ) and tested.mean(cox, "concordance") > tested.mean(recency, "concordance")
