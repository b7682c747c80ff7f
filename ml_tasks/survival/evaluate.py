"""Out of time: trained on what was known at an earlier date, tested on the orders that followed.

A test date is a past snapshot date that every customer was watched after for the whole horizon,
so nothing is censored within it and all figures are plain averages.
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
from ml_tasks.survival.shop_days import fit_shop_days

# The cuts' test windows don't overlap, or one season would count twice.
MAX_CUTS = 2
# Groups of customers are compared on the days that every shop is watched for.
OF_GROUPS = partial(figures_of.figures, horizon_days=MIN_FOLLOW_UP_DAYS)
GROUP_METRIC = f"{{}}_{MIN_FOLLOW_UP_DAYS}d"


@dataclass(frozen=True)
class PastChance:
    """The combined chance of an order within 90 days, as it was predicted on past dates.

    Attributes:
        known: What may be seen.
        chance: A row per date and customer: as_of_date, origin_date, customer_id,
            order_probability.
    """

    known: Known
    chance: pd.DataFrame

    @classmethod
    def of(cls, known: Known, predicted: pd.DataFrame) -> PastChance:
        """From what `chance.predict_past` predicted."""
        frame = predicted[["as_of_date", "origin_date"]].assign(
            customer_id=known.labelled.loc[predicted.index, "customer_id"],
            order_probability=chance.combined(known, predicted) if len(predicted) else [],
        )
        return cls(known, frame)

    @property
    def origins(self) -> list[pd.Timestamp]:
        """Dates on which members were fitted."""
        return [pd.Timestamp(day) for day in self.chance["origin_date"].unique()]

    def on(self, cut: pd.Timestamp, test: pd.DataFrame) -> pd.DataFrame:
        """The rows of `test` that have a prediction, with it."""
        asked = self.chance[self.chance["as_of_date"] == cut]
        return test.merge(asked[["customer_id", "order_probability"]], on="customer_id")


def evaluate(
    observations: pd.DataFrame,
    training_date: pd.Timestamp,
    counts: pd.DataFrame,
    past_chance: PastChance | None = None,
) -> Evaluation:
    """Figures of the combination, of Cox's model, of the baseline and of an AFT beside them.

    Args:
        observations: As of `observations_of`, known on `training_date`.
        training_date: Nothing of that day or later is in them.
        counts: Columns of features.shop_days.
        past_chance: For the combination, on whose origins the cuts then lie; None: there is none.

    Returns:
        Without a winner; without figures if the shop was not watched for long enough.
    """
    found: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    plots: dict[str, bytes] = {}
    horizon_days = horizon_of(observations, training_date)
    for cut, past, test in _tests(observations, training_date, past_chance):
        curves = _curves(past, test, cut, counts, past_chance)
        survival = {name: s[:, : horizon_days + 1] for name, s in curves.items()}
        days = test["days"].to_numpy()
        for name, s in survival.items():
            ordered = {"ordered_rate": float((days <= horizon_days).mean())}
            found += rows(cut, name, ordered | accuracy.figures(s, days), len(test))
        if not plots:
            plots = pictures.of_cut(survival, days)
            customers = {name: _with_outcome(test, s) for name, s in survival.items()}
            of_groups, gaps = customer_groups.served(cut, customers, OF_GROUPS, GROUP_METRIC)
            found += of_groups
    tested = Evaluation(tuple(found), gaps=gaps, plots=plots)
    ours = AnchoredModel.name if tested.of(AnchoredModel.name) else CoxModel.name
    means = tested.means(accuracy.NAMES, {ours: "", RecencyModel.name: "baseline_"})
    return replace(tested, metrics=means)


def horizon_of(observations: pd.DataFrame, training_date: pd.Timestamp) -> int:
    """Days that models are tested on: half of the days watched, at most the longest horizon."""
    if observations.empty:
        return 0
    watched = (training_date - observations["snapshot_date"].min()).days
    return min(max(HORIZONS_DAYS), watched // 2)


def _tests(
    observations: pd.DataFrame, training_date: pd.Timestamp, past_chance: PastChance | None
) -> Iterator[tuple[pd.Timestamp, pd.DataFrame, pd.DataFrame]]:
    """Each cut, newest first, with the observations known on it and its customers."""
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
    """S(t) of the test's customers by model, each fitted to what was known on the cut."""
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
    said = anchored(shapes, test["order_probability"].to_numpy(dtype=float), in_rhythm)
    return {AnchoredModel.name: said, **survival, **beside}


def _with_outcome(test: pd.DataFrame, survival: np.ndarray) -> pd.DataFrame:
    """Customers with what was predicted and what happened, as `figures_of` reads them."""
    return test.assign(
        order_probability_90d=1 - survival[:, MIN_FOLLOW_UP_DAYS],
        expected_days_to_next_order=survival[:, 1:].sum(axis=1),
        happened_days=test["days"],
    )


def is_enough(observations: pd.DataFrame, known_date: pd.Timestamp) -> bool:
    """Whether a model can be fitted to what was known on a date."""
    if observations.empty or observations["is_ordered"].sum() < MIN_EVENTS:
        return False
    return (known_date - observations["snapshot_date"].min()).days >= MIN_FOLLOW_UP_DAYS


def is_better(tested: Evaluation) -> bool:
    """Whether Cox's model was fitted on each date and beat the baseline on average.

    On both figures: a lower integrated Brier score, and a higher concordance.
    """
    cox, recency = CoxModel.name, RecencyModel.name
    if not tested.cuts or set(tested.of(cox)) != set(tested.cuts):
        return False
    return tested.mean(cox, "integrated_brier") < tested.mean(
        recency, "integrated_brier"
    ) and tested.mean(cox, "concordance") > tested.mean(recency, "concordance")
