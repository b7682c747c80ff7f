"""The rules of the stages, and what follows from them for 90 days later.

The rules stand once, in the dbt model that gives each customer a stage.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from perennial.settings import DBT_PROJECT

MODEL = DBT_PROJECT / "models" / "intermediate" / "int_customer_stages.sql"
STAGES = ("new", "active", "loyal", "at_risk", "lost", "won_back")
NEW, ACTIVE, LOYAL, AT_RISK, LOST, WON_BACK = range(len(STAGES))


class StageRulesError(ValueError):
    """The rules cannot be used; the message names the file and the rule."""


@dataclass(frozen=True)
class Rules:
    """Thresholds; the first stage that matches counts, see the description of scores.stages.

    Attributes:
        version: Changes whenever a threshold does.
        new_days: A customer is new for so many days after the first order.
        active_days: Largest number of days since the last order of an active or loyal customer.
        at_risk_days: Largest number of days since the last order of a customer at risk.
        loyal_order_days: Least number of order days within the window of a loyal customer.
        loyal_window_days: Length of that window.
        away_days: An order after a longer gap wins a customer back.
        won_back_days: A customer is won back for so many days after that order.
    """

    version: str
    new_days: int
    active_days: int
    at_risk_days: int
    loyal_order_days: int
    loyal_window_days: int
    away_days: int
    won_back_days: int

    def __post_init__(self) -> None:
        """Check what `after_orders` and the feature count_order_days_275d rely on.

        Raises:
            StageRulesError: If they do not hold.
        """
        fixed = {"active_days": HORIZON_DAYS, "won_back_days": HORIZON_DAYS}
        fixed |= {"loyal_window_days": 365}
        for name, days in fixed.items():
            if getattr(self, name) != days:
                raise StageRulesError(
                    f"{MODEL.name}: {name} must be {days}, because the model predicts"
                    f" {HORIZON_DAYS} days ahead and its features are made for it"
                )
        if self.new_days > HORIZON_DAYS:
            raise StageRulesError(f"{MODEL.name}: new_days must be at most {HORIZON_DAYS}")
        if not self.active_days < self.at_risk_days <= self.away_days:
            raise StageRulesError(
                f"{MODEL.name}: active_days < at_risk_days <= away_days must hold"
            )


@cache
def load() -> Rules:
    """Read the rules.

    Raises:
        StageRulesError: If the dbt model has none, or they cannot be used.
    """
    found = re.search(r"set rules = (\{.*?\})", MODEL.read_text(), re.DOTALL)
    if not found:
        raise StageRulesError(f"{MODEL.name}: has no `set rules = {{...}}`")
    return Rules(**ast.literal_eval(found[1]))


def without_order(facts: pd.DataFrame, rules: Rules) -> np.ndarray:
    """The stage in 90 days of customers who place no order until then, shape (n,).

    Args:
        facts: Column days_since_last_order, at least 1.
        rules: The rules. An order of today or before is then more than `active_days` ago.

    Example:
        >>> facts = pd.DataFrame({"days_since_last_order": [1, 90, 91, 400]})
        >>> [STAGES[stage] for stage in without_order(facts, load())]
        ['at_risk', 'at_risk', 'lost', 'lost']
    """
    later = facts["days_since_last_order"].to_numpy() + HORIZON_DAYS
    return np.where(later <= rules.at_risk_days, AT_RISK, LOST)


def return_after_order(facts: pd.DataFrame, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Whether an order in the next 90 days can win a customer back, and whether it must; (n,) each.

    The first order may come on any of the 90 days, the gap then ends.

    Args:
        facts: Column days_since_last_order.
        rules: The rules.

    Example:
        >>> facts = pd.DataFrame({"days_since_last_order": [91, 92, 180, 181]})
        >>> can, must = return_after_order(facts, load())
        >>> can.tolist(), must.tolist()
        ([False, True, True, True], [False, False, False, True])
    """
    first_gap = facts["days_since_last_order"].to_numpy()
    return first_gap + HORIZON_DAYS - 1 > rules.away_days, first_gap > rules.away_days


def loyal_after_order(facts: pd.DataFrame, rules: Rules) -> np.ndarray:
    """Whether one order day in the next 90 days makes a customer loyal for sure, shape (n,).

    Args:
        facts: Column count_order_days_275d: order days that will still be in the window.
        rules: The rules.
    """
    return facts["count_order_days_275d"].to_numpy() + 1 >= rules.loyal_order_days


def possible(rules: Rules) -> np.ndarray:
    """Whether a stage can follow another in 90 days, shape (n_stages, n_stages): from, to.

    Found by trying each number of days since the last order that a stage allows.
    """
    days = np.arange(1, rules.away_days + 2)
    facts = pd.DataFrame({"days_since_last_order": days})
    can_return, must_return = return_after_order(facts, rules)
    silent = without_order(facts, rules)
    recency = {AT_RISK: (days > rules.active_days) & (days <= rules.at_risk_days)}
    recency[LOST] = days > rules.at_risk_days
    allowed = np.zeros((len(STAGES), len(STAGES)), dtype=bool)
    for stage in range(len(STAGES)):
        own = recency.get(stage, days <= rules.active_days)
        allowed[stage, silent[own]] = True
        allowed[stage, WON_BACK] |= bool(can_return[own].any())
        allowed[stage, [ACTIVE, LOYAL]] |= bool((~must_return[own]).any())
    return allowed
