"""What past actions did: contacted customers beside held-out ones, once 90 days have passed.

The comparison is by intention to treat: everybody whose turn it was counts, contacted or not, as
they were drawn. A customer counts once, from the first such turn of the last year.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ml_tasks.actions.catalogue import ANY, Catalogue, Effect

NORMAL_95 = float(stats.norm.ppf(0.975))  # half a 95 % interval, in standard errors
ALPHA = 0.05  # false alarms of a verdict, over all days on which it is looked at
USUAL_DIFFERENCE = 0.03  # of order rates; the verdict is sharpest for about so much
LARGEST_SHARE = 0.99  # spend above this quantile counts as so much, or a few orders would decide
LEAST_A_GROUP = 30  # a difference of smaller groups is not given
HELPS, HARMS, CANNOT_TELL = "helps", "harms", "cannot tell"


@dataclass(frozen=True)
class Difference:
    """A mean of the contacted less that of the held-out.

    Attributes:
        value: The difference.
        error: Its standard error.
    """

    value: float
    error: float

    @property
    def lower(self) -> float:
        """Lower end of the 95 % confidence interval."""
        return self.value - NORMAL_95 * self.error

    @property
    def upper(self) -> float:
        """Upper end of the 95 % confidence interval."""
        return self.value + NORMAL_95 * self.error

    def at_every_look(self, usual: float) -> tuple[float, float]:
        """Ends of an interval that holds on all dates at once, with 95 % confidence.

        The table is looked at every day. Of daily 95 % intervals, a quarter excludes 0 some day
        though there is no effect.

        Args:
            usual: Size of a usual difference; the interval is narrowest for about so much data.

        Source:
            Robbins (1970), doi 10.1214/aoms/1177696786; Johari, Pekelis and Walsh (2015),
            arXiv:1512.04922.
        """
        own, prior = self.error**2, usual**2
        if not own:
            return self.value, self.value
        widened = own * (own + prior) / prior
        half = np.sqrt(widened * (2 * np.log(1 / ALPHA) + np.log((own + prior) / own)))
        return self.value - float(half), self.value + float(half)


def difference(outcome: np.ndarray, expected: np.ndarray, is_held_out: np.ndarray) -> Difference:
    """Difference of means with less noise: what was expected beforehand is taken out (CUPED).

    Args:
        outcome: What happened, shape (n,).
        expected: Known before the action, shape (n,); the part of the outcome that follows it
            linearly is subtracted.
        is_held_out: Shape (n,); both kinds occur at least twice.

    Source:
        Deng, Xu, Kohavi and Walker (2013), doi 10.1145/2433396.2433413.
    """
    spread = float(np.var(expected))
    slope = float(np.mean((expected - expected.mean()) * outcome)) / spread if spread > 0 else 0.0
    adjusted = outcome - slope * (expected - expected.mean())
    contacted, held_out = adjusted[~is_held_out], adjusted[is_held_out]
    error = np.sqrt(contacted.var(ddof=1) / len(contacted) + held_out.var(ddof=1) / len(held_out))
    return Difference(float(contacted.mean() - held_out.mean()), float(error))


def measured(turns: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Rows of scores.action_effects without status: one for each action, and one for all.

    Args:
        turns: One row per customer and action: action, is_held_out, order_probability and
            expected_spend_amount of the day of the turn, happened_orders and happened_spend_amount
            in the 90 days from it.
        catalogue: The actions.
    """
    first = turns.drop_duplicates("customer_id")
    return pd.DataFrame(
        [{"action": name, **_of(turns[turns["action"] == name])} for name in catalogue.names]
        + [{"action": ANY, **_of(first)}]
    )


def is_measured(effects: pd.DataFrame) -> np.ndarray:
    """Whether both groups of each row are large enough to compare, shape (n,)."""
    smallest = effects[["count_contacted", "count_held_out"]].min(axis=1)
    return (smallest >= LEAST_A_GROUP).to_numpy()


def updated(effects: pd.DataFrame, catalogue: Catalogue) -> Mapping[str, Effect]:
    """The effects to plan with: the catalogue's, and this shop's own as far as it is certain.

    Both are normal, so their precision-weighted mean is the posterior (Gelman et al., Bayesian
    Data Analysis, 2.5).

    Args:
        effects: From `measured`.
        catalogue: The actions with their effects before any evidence.
    """
    rows = effects[is_measured(effects)].set_index("action").to_dict("index")
    found = {}
    for action in catalogue.actions:
        prior = found[action.action] = action.effect
        if row := rows.get(action.action):
            rate = row["order_rate_held_out"]
            per_log_odds = max(rate * (1 - rate), 0.01)
            mean = row["order_rate_difference"] / per_log_odds
            sd = max(row["order_rate_error"] / per_log_odds, 1e-6)
            weight = prior.sd**2 / (prior.sd**2 + sd**2)
            posterior = prior.mean + weight * (mean - prior.mean)
            found[action.action] = Effect(mean=posterior, sd=prior.sd * math.sqrt(1 - weight))
    return found


def _of(turns: pd.DataFrame) -> dict[str, object]:
    held_out = turns["is_held_out"].to_numpy(dtype=bool)
    row: dict[str, object] = {
        "count_contacted": int((~held_out).sum()),
        "count_held_out": int(held_out.sum()),
    }
    if min(int((~held_out).sum()), int(held_out.sum())) < LEAST_A_GROUP:
        return row
    has_ordered = (turns["happened_orders"] > 0).to_numpy(dtype=float)
    orders = difference(has_ordered, turns["order_probability"].to_numpy(dtype=float), held_out)
    spend = difference(
        _without_largest(turns["happened_spend_amount"]),
        _without_largest(turns["expected_spend_amount"]),
        held_out,
    )
    return row | {
        "order_rate_contacted": has_ordered[~held_out].mean(),
        "order_rate_held_out": has_ordered[held_out].mean(),
        "order_rate_difference": orders.value,
        "order_rate_error": orders.error,
        "order_rate_difference_lower": orders.lower,
        "order_rate_difference_upper": orders.upper,
        "spend_difference_amount": spend.value,
        "spend_difference_amount_lower": spend.lower,
        "spend_difference_amount_upper": spend.upper,
        "verdict": _verdict(orders),
    }


def _without_largest(amount: pd.Series) -> np.ndarray:
    values = amount.to_numpy(dtype=float)
    return np.minimum(values, np.quantile(values, LARGEST_SHARE))


def _verdict(orders: Difference) -> str:
    lower, upper = orders.at_every_look(USUAL_DIFFERENCE)
    if lower > 0:
        return HELPS
    return HARMS if upper < 0 else CANNOT_TELL
