"""The probability of an order within 90 days, predicted by several models together.

Each member has its own strength. The process predicts customers with short histories and young
shops best, the regression whatever shows in recency and counts, the trees what both miss, with the
season of the buying clock. No member is best in every shop, and a few past dates cannot tell which
one is. The mean of their log odds is never far from the best of them. So no member is selected:
weights start equal and move with evidence (`weights`), and the level is the members' mean level,
corrected by their errors so far (`levels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import clock_trees, margins, order_process, regression
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.combination import MEMBERS, PROCESS, REGRESSION, TREES, Combination, combine
from ml_tasks.customers.known import Known, has_ordered
from ml_tasks.customers.order_process import OrderProcess
from ml_tasks.customers.regression import Regression
from ml_tasks.evaluation.cuts import MAX_CUTS
from ml_tasks.evaluation.origins import origins_of

TREES_FILE = "trees.ubj"

Member = OrderProcess | Regression | ClockTrees
Members = dict[str, Member]
# Fits further models to what was known on a date, given its members; these predict further columns.
Further = Callable[[Known, Members], Callable[[pd.DataFrame], Mapping[str, np.ndarray]]]


@dataclass(frozen=True)
class ChanceModel:
    """Fitted members and their combination.

    Attributes:
        members: Name -> member.
        weights: Name -> weight of its log odds.
        shift: Constant added to the log odds, which corrects the level.
    """

    members: Members
    weights: dict[str, float]
    shift: float

    name = "combined"

    @property
    def clock(self) -> ClockTrees | None:
        """The member that knows the season; None if it could not be fitted."""
        trees = self.members.get(TREES)
        return trees if isinstance(trees, ClockTrees) else None

    def parameters(self) -> dict[str, Any]:
        """All parameters but the trees, as JSON."""
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
        """Restore a stored model from `parameters` and `artefacts`."""
        stored = parameters["members"]
        members: Members = {PROCESS: OrderProcess(**stored[PROCESS])}
        if REGRESSION in stored:
            members[REGRESSION] = Regression(**stored[REGRESSION])
        if TREES in stored:
            members[TREES] = ClockTrees.restored(stored[TREES], artefacts[TREES_FILE])
        return cls(members, parameters["weights"], parameters["shift"])

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log odds of an order in the next 90 days, shape (n_rows,)."""
        parts = [self.weights[n] * member.log_odds(snapshot) for n, member in self.members.items()]
        return self.shift + np.sum(parts, axis=0)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Probability of an order in the next 90 days, shape (n_rows,)."""
        return margins.inverse_link(self.log_odds(snapshot), "logistic")


def fit_members(known: Known, seed: int) -> Members:
    """Fit every member that the data suffice for; the process always is.

    Args:
        known: Data known on the training date.
        seed: Random seed of the trees.
    """
    members: Members = {PROCESS: order_process.fit(PROCESS, known.snapshot)}
    others = {
        REGRESSION: regression.fit(known.labelled),
        TREES: clock_trees.fit(known, seed),
    }
    return members | {name: member for name, member in others.items() if member}


def predict_past(known: Known, seed: int, further: Further | None = None) -> pd.DataFrame:
    """Predict past dates out of time, with members fitted on the first of every few dates.

    Args:
        known: Data known on the training date.
        seed: Random seed of the trees.
        further: Fits further models on each of these dates, given the members of the date.

    Returns:
        One row per predicted row of `known.labelled`, with its index: `as_of_date`, `origin_date`
        (date of the fit), the log odds of each of MEMBERS (NaN if it could not be fitted), and the
        columns of `further`. Empty if the shop is too young.
    """
    parts = []
    for origin in origins_of(known.labelled, known.first_day):
        past = known.at(origin.date)
        members = fit_members(past, seed)
        rows = known.labelled[known.labelled["as_of_date"].isin(origin.predicted_dates)]
        log_odds = {
            name: members[name].log_odds(rows) if name in members else np.nan for name in MEMBERS
        }
        more = further(past, members)(rows) if further else {}
        head = {"as_of_date": rows["as_of_date"], "origin_date": origin.date}
        parts.append(pd.DataFrame({**head, **log_odds, **more}, index=rows.index))
    return pd.concat(parts) if parts else no_predictions()


def cuts(
    known: Known, predictions: pd.DataFrame, is_learnable: Callable[[pd.DataFrame], bool]
) -> Iterator[tuple[Known, pd.DataFrame]]:
    """The newest origins on which a model can be trained and tested, newest first.

    Args:
        known: Data known on the training date.
        predictions: From `predict_past`.
        is_learnable: Whether labelled snapshots suffice to train or to test a model.

    Yields:
        The data known on the origin, and the test rows: the rows of `known.labelled` of that date.
    """
    for day in sorted(predictions["origin_date"].unique(), reverse=True)[:MAX_CUTS]:
        past = known.at(pd.Timestamp(day))
        test = known.labelled.loc[predictions.index[predictions["as_of_date"] == day]]
        if is_learnable(past.labelled) and is_learnable(test):
            yield past, test


def no_predictions() -> pd.DataFrame:
    """An empty frame with the columns of `predict_past`, for a shop that is too young."""
    dates = {name: pd.Series(dtype="datetime64[ns]") for name in ("as_of_date", "origin_date")}
    return pd.DataFrame({**dates, **{name: pd.Series(dtype=float) for name in MEMBERS}})


def combined(known: Known, predictions: pd.DataFrame) -> np.ndarray:
    """The combined probability of an order for each row of `predictions`, shape (n_rows,).

    Out of time: weights and levels are learnt from dates with outcomes known on the row's origin,
    and the shift from the origin's customers, as in a model that is trained on that date.

    Args:
        known: Data known on the training date.
        predictions: From `predict_past`.
    """
    happened = has_ordered(known.labelled.loc[predictions.index])
    probabilities = pd.Series(np.nan, index=predictions.index)
    for date in predictions["origin_date"].unique():
        rows = predictions[predictions["origin_date"] == date]
        names = tuple(name for name in MEMBERS if rows[name].notna().all())
        combination = combine(predictions, happened, pd.Timestamp(date), names)
        shift = combination.shift(_by_name(rows[rows["as_of_date"] == date], names))
        margin = combination.margin(_by_name(rows, names)) + shift
        probabilities[rows.index] = margins.inverse_link(margin, "logistic")
    return probabilities.to_numpy(dtype=float)


def _by_name(predictions: pd.DataFrame, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: predictions[name].to_numpy(dtype=float) for name in names}


def fit(known: Known, predictions: pd.DataFrame, seed: int) -> tuple[ChanceModel, Combination]:
    """Fit the members to all known data and combine them.

    Args:
        known: Data known on the training date.
        predictions: From `predict_past` with the same data; weights and levels are learnt from it.
        seed: Random seed of the trees.
    """
    members = fit_members(known, seed)
    happened = has_ordered(known.labelled.loc[predictions.index])
    combination = combine(predictions, happened, known.date, tuple(members))
    log_odds = {name: member.log_odds(known.snapshot) for name, member in members.items()}
    weights = dict(zip(combination.names, combination.weights.tolist(), strict=True))
    return ChanceModel(members, weights, combination.shift(log_odds)), combination
