"""The chance of an order within 90 days: several models together.

Each member is good at something: the process at customers who have hardly done anything yet and in
shops that are young, the regression at whatever leaves its mark in recency and counts, the trees at
what neither expects, with the season of the buying clock. None of them is best in every shop, and
which is best is hardly to be told from a few past dates; their mean in log odds is nowhere far from
the best of them. So nothing is chosen: weights start equal and move by evidence (`weights`), and
the level is what the members say it is, put right by what they missed so far (`levels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import clock_trees, margins, order_process, regression
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.known import HORIZON_DAYS, Known, has_ordered
from ml_tasks.customers.order_process import OrderProcess
from ml_tasks.customers.regression import Regression
from ml_tasks.evaluation import levels as level_evidence
from ml_tasks.evaluation import weights as weight_evidence
from ml_tasks.evaluation.cuts import MAX_CUTS
from ml_tasks.evaluation.origins import origins_of

PROCESS, REGRESSION, TREES = "pareto_nbd", Regression.name, ClockTrees.name
MEMBERS = (PROCESS, REGRESSION, TREES)
# Weights before any evidence: equal. See DECISIONS for what was compared.
PRIOR = np.full(len(MEMBERS), 1 / len(MEMBERS))
TREES_FILE = "trees.ubj"

Member = OrderProcess | Regression | ClockTrees
Members = dict[str, Member]
# Given what was known on a date and its members: what else to say of customers, by column.
Also = Callable[[Known, Members], Callable[[pd.DataFrame], Mapping[str, np.ndarray]]]


@dataclass(frozen=True)
class Combination:
    """What was learnt of the members out of time; arrays in their order, those that were fitted.

    Attributes:
        names: Members.
        weights: Of their log odds; they need not sum to 1.
        levels: Of their means.
        count_dates: Past dates that it rests on.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    levels: level_evidence.Levels
    count_dates: int

    def __str__(self) -> str:
        """What counts how much, and on how many dates it rests."""
        shares = self.weights / self.weights.sum() if self.weights.sum() else self.weights
        parts = [f"{name} {share:.0%}" for name, share in zip(self.names, shares, strict=True)]
        return f"{', '.join(parts)}, by {self.count_dates} past dates"

    def margin(self, log_odds: Mapping[str, np.ndarray]) -> np.ndarray:
        """Linear predictor without its level, shape (n,)."""
        parts = [w * log_odds[n] for n, w in zip(self.names, self.weights, strict=True)]
        return np.sum(parts, axis=0)

    def shift(self, log_odds: Mapping[str, np.ndarray]) -> float:
        """What to add to the margin, from what the members say of all customers of a date."""
        said = np.array([mean_log_odds(log_odds[name]) for name in self.names])
        level = float(margins.inverse_link(np.array(self.levels.of(said)), "logistic"))
        return margins.shift_to_mean(self.margin(log_odds), level)


@dataclass(frozen=True)
class ChanceModel:
    """Fitted members and how they are combined; all of it data.

    Attributes:
        members: By name.
        weights: By name.
        shift: Log odds added for the level.
    """

    members: Members
    weights: dict[str, float]
    shift: float

    name = "combined"

    @property
    def clock(self) -> ClockTrees | None:
        """The member that knows the season, where there is one."""
        trees = self.members.get(TREES)
        return trees if isinstance(trees, ClockTrees) else None

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {
            "members": {name: member.parameters() for name, member in self.members.items()},
            "weights": self.weights,
            "shift": self.shift,
        }

    def artefacts(self) -> dict[str, bytes]:
        """File name -> content."""
        return {TREES_FILE: self.clock.trees.trees} if self.clock else {}

    @classmethod
    def restored(cls, parameters: dict[str, Any], artefacts: Mapping[str, bytes]) -> ChanceModel:
        """From what was stored."""
        stored = parameters["members"]
        members: Members = {PROCESS: OrderProcess(**stored[PROCESS])}
        if REGRESSION in stored:
            members[REGRESSION] = Regression(**stored[REGRESSION])
        if TREES in stored:
            members[TREES] = ClockTrees.restored(stored[TREES], artefacts[TREES_FILE])
        return cls(members, parameters["weights"], parameters["shift"])

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Of an order in the next 90 days, per row."""
        parts = [self.weights[n] * member.log_odds(snapshot) for n, member in self.members.items()]
        return self.shift + np.sum(parts, axis=0)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Chance of an order in the next 90 days, per row."""
        return margins.inverse_link(self.log_odds(snapshot), "logistic")


def fit_members(known: Known, seed: int) -> Members:
    """Fit what can be fitted to what is known; the process always can."""
    found: Members = {PROCESS: order_process.fit(PROCESS, known.snapshot)}
    others = {
        REGRESSION: regression.fit(known.labelled),
        TREES: clock_trees.fit(known, seed),
    }
    return found | {name: member for name, member in others.items() if member}


def tell(known: Known, seed: int, also: Also | None = None) -> pd.DataFrame:
    """What members fitted on past dates said of the customers of those and the following dates.

    Args:
        known: What may be seen.
        seed: Handed to the trees.
        also: Fits more to what was known on a past date, given the members of it.

    Returns:
        A row per row of `known.labelled` that was asked about, with its index: `as_of_date`,
        `origin_date` (of the fit), the log odds of each of MEMBERS, NaN where it could not be
        fitted, and the columns of `also`. Empty where the shop is too young.
    """
    parts = []
    for origin in origins_of(known.labelled, known.first_day):
        past = known.at(origin.date)
        members = fit_members(past, seed)
        rows = known.labelled[known.labelled["as_of_date"].isin(origin.asked)]
        said = {
            name: members[name].log_odds(rows) if name in members else np.nan for name in MEMBERS
        }
        more = also(past, members)(rows) if also else {}
        head = {"as_of_date": rows["as_of_date"], "origin_date": origin.date}
        parts.append(pd.DataFrame({**head, **said, **more}, index=rows.index))
    return pd.concat(parts) if parts else nothing_told()


def cuts(
    known: Known, told: pd.DataFrame, is_learnable: Callable[[pd.DataFrame], bool]
) -> Iterator[tuple[Known, pd.DataFrame]]:
    """The newest origins that something can be judged on, newest first.

    Args:
        known: What may be seen.
        told: Of `tell`.
        is_learnable: Whether labelled snapshots say enough to train on, or to judge by.

    Yields:
        What was known on the origin, and its customers with what came: rows of `known.labelled`.
    """
    for day in sorted(told["origin_date"].unique(), reverse=True)[:MAX_CUTS]:
        past = known.at(pd.Timestamp(day))
        test = known.labelled.loc[told.index[told["as_of_date"] == day]]
        if is_learnable(past.labelled) and is_learnable(test):
            yield past, test


def nothing_told() -> pd.DataFrame:
    """As `tell` of a shop too young for any past date."""
    dates = {name: pd.Series(dtype="datetime64[ns]") for name in ("as_of_date", "origin_date")}
    return pd.DataFrame({**dates, **{name: pd.Series(dtype=float) for name in MEMBERS}})


def combined(known: Known, told: pd.DataFrame) -> np.ndarray:
    """The combination's chance of an order for each row of `told`, by what was known at its fit.

    Weights and levels are those of the dates whose outcome was known on the row's origin; the
    shift is that of the origin's customers, as it is that of the training date's in a model.
    """
    happened = has_ordered(known.labelled.loc[told.index])
    found = pd.Series(np.nan, index=told.index)
    for date in told["origin_date"].unique():
        asked = told[told["origin_date"] == date]
        names = tuple(name for name in MEMBERS if asked[name].notna().all())
        learnt = combine(told, happened, pd.Timestamp(date), names)
        shift = learnt.shift(_by_name(asked[asked["as_of_date"] == date], names))
        margin = learnt.margin(_by_name(asked, names)) + shift
        found[asked.index] = margins.inverse_link(margin, "logistic")
    return found.to_numpy(dtype=float)


def _by_name(told: pd.DataFrame, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: told[name].to_numpy(dtype=float) for name in names}


def combine(
    told: pd.DataFrame, happened: np.ndarray, known_by: pd.Timestamp, names: tuple[str, ...]
) -> Combination:
    """Weights and levels from the dates whose outcome was known by a date.

    Args:
        told: Of `tell`.
        happened: 0 or 1 for each of its rows.
        known_by: The date.
        names: Of the members to combine.
    """
    place = [MEMBERS.index(name) for name in names]
    prior = PRIOR[place] / PRIOR[place].sum()
    horizon = pd.Timedelta(days=HORIZON_DAYS)
    is_known = (told["as_of_date"] + horizon <= known_by).to_numpy(dtype=bool)
    told, happened = told[is_known], happened[is_known]
    if told.empty:
        return Combination(names, prior, level_evidence.untested(len(names)), 0)
    said = told[list(names)].to_numpy(dtype=float)
    days, date = np.unique(told["as_of_date"].to_numpy(), return_inverse=True)
    found = weight_evidence.weights(said, happened, date, prior)
    missed, variance = [], []
    for number in range(len(days)):
        rows = date == number
        came = (happened[rows].sum() + 0.5) / (rows.sum() + 1)
        variance.append(1 / (rows.sum() * came * (1 - came)))
        missed.append([np.log(came / (1 - came)) - mean_log_odds(one) for one in said[rows].T])
    learnt = level_evidence.learnt(np.array(missed), np.array(variance))
    return Combination(names, found.round(6), learnt, len(days))


def mean_log_odds(log_odds: np.ndarray) -> float:
    """Log odds of the mean probability; NaN of NaN."""
    mean = float(np.mean(margins.inverse_link(log_odds, "logistic")))
    return float(np.log(mean / (1 - mean)))


def fit(known: Known, told: pd.DataFrame, seed: int) -> tuple[ChanceModel, Combination]:
    """Fit the members to all that is known and combine them by what was told before.

    Args:
        known: What may be seen.
        told: Of `tell` of the same.
        seed: Handed to the trees.
    """
    members = fit_members(known, seed)
    happened = has_ordered(known.labelled.loc[told.index])
    combination = combine(told, happened, known.date, tuple(members))
    said = {name: member.log_odds(known.snapshot) for name, member in members.items()}
    weights = dict(zip(combination.names, combination.weights.tolist(), strict=True))
    return ChanceModel(members, weights, combination.shift(said)), combination
