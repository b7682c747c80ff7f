"""The chance of each stage in 90 days: first whether an order comes, then which stage follows.

Without an order the stage is certain. After one, the rules leave at most two questions open:
whether its gap was long enough to win the customer back, and whether enough order days for `loyal`
come together. So three probabilities make all six, and what the rules forbid is exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import logit, margins
from ml_tasks.customers.known import has_ordered
from ml_tasks.customers.logit import Logit
from ml_tasks.customers.matrix import rhythm_days
from ml_tasks.stages import rules as stage_rules
from ml_tasks.stages.rules import ACTIVE, LOYAL, STAGES, WON_BACK, Rules

Facts = pd.DataFrame  # features.customer_snapshots and features.customer_stages, a row a customer


@dataclass(frozen=True)
class AfterOrder:
    """The stage that follows an order within 90 days.

    Attributes:
        returning: Log odds that the order ends a gap that wins the customer back.
        loyal: Log odds of loyal, against active, of those who are not won back.
    """

    returning: Logit
    loyal: Logit

    def parameters(self) -> dict[str, Any]:
        """Both regressions, as JSON."""
        return {"returning": self.returning.parameters(), "loyal": self.loyal.parameters()}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> AfterOrder:
        """Rebuild from `parameters`."""
        return cls(Logit(**stored["returning"]), Logit(**stored["loyal"]))

    def predict(self, facts: Facts, order_probability: np.ndarray, rules: Rules) -> np.ndarray:
        """Probability of each stage in 90 days, shape (n, n_stages); rows add up to 1.

        Args:
            facts: One row per customer.
            order_probability: Probability of an order in the next 90 days, shape (n,).
            rules: The rules of the stages.
        """
        can_return, must_return = stage_rules.return_after_order(facts, rules)
        returns = margins.inverse_link(self.returning.log_odds_of(of_return(facts)), "logistic")
        returns = np.where(must_return, 1.0, np.where(can_return, returns, 0.0))
        loyal = margins.inverse_link(self.loyal.log_odds_of(of_loyalty(facts)), "logistic")
        loyal = np.where(stage_rules.loyal_after_order(facts, rules), 1.0, loyal)
        found = np.zeros((len(facts), len(STAGES)))
        silent = stage_rules.without_order(facts, rules)
        found[np.arange(len(facts)), silent] = 1 - order_probability
        found[:, WON_BACK] = order_probability * returns
        found[:, LOYAL] = order_probability * (1 - returns) * loyal
        found[:, ACTIVE] = order_probability * (1 - returns) * (1 - loyal)
        return found


def fit(labelled: Facts, rules: Rules) -> AfterOrder:
    """Fit to past customers who ordered within 90 days, as far as the rules leave a question open.

    Args:
        labelled: Facts with outcome_count_orders and stage_after, in a total order.
        rules: The rules of the stages.
    """
    ordered = labelled[has_ordered(labelled) > 0]
    can_return, must_return = stage_rules.return_after_order(ordered, rules)
    may_return = ordered[can_return & ~must_return]
    is_back = ordered["stage_after"] == STAGES[WON_BACK]
    certain = stage_rules.loyal_after_order(ordered, rules)
    stayed = ordered[~is_back.to_numpy() & ~certain]
    return AfterOrder(
        logit.fit_or_rate(of_return(may_return), _is(may_return, WON_BACK)),
        logit.fit_or_rate(of_loyalty(stayed), _is(stayed, LOYAL)),
    )


def of_return(facts: Facts) -> pd.DataFrame:
    """Covariates of whether an order ends a long gap, shape (n, 3)."""
    columns = {
        "days_since_last_order": facts["days_since_last_order"].astype(float),
        "log_order_days": np.log(facts["count_order_days"].astype(float)),
        "log_days_between_orders": np.log(rhythm_days(facts)),
    }
    return pd.DataFrame(columns, index=facts.index)


def of_loyalty(facts: Facts) -> pd.DataFrame:
    """Covariates of whether enough order days come together, shape (n, 8)."""
    still_in_window = facts["count_order_days_275d"]
    columns = {
        **{f"has_{n}_order_days": (still_in_window == n).astype(float) for n in range(3)},
        **{
            f"log_{name}": np.log1p(facts[name].astype(float))
            for name in (
                "count_orders_90d",
                "count_orders_180d",
                "days_since_last_order",
                "days_since_first_order",
                "count_order_days",
            )
        },
    }
    return pd.DataFrame(columns, index=facts.index)


def _is(labelled: Facts, stage: int) -> np.ndarray:
    return (labelled["stage_after"] == STAGES[stage]).to_numpy(dtype=float)
