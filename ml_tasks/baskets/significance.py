"""Whether rules are more frequent than by chance, each buyer counted once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special, stats

ALPHA = 0.01  # largest adjusted p-value of a rule
MIN_LIFT, MIN_BUYERS = 2.0, 5
MEMBERS = ["left", "right", "third"]


def chance(orders: np.ndarray, buyers: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Poisson probability of at least so many; 1 for none.

    A buyer who repeats a basket is no new evidence, so the number of buyers is compared with the
    expected orders divided by the orders per buyer.

    Args:
        orders: Number of orders of each rule.
        buyers: Number of buyers in these orders.
        expected: Expected number of orders.

    Example:
        >>> float(np.round(chance(np.array([4.0]), np.array([2.0]), np.array([1.0])), 4)[0])
        0.0902
    """
    known = np.maximum(buyers, 1)
    p = special.gammainc(known, expected * known / np.maximum(orders, 1))
    return np.where(orders > 0, p, 1.0)


def least_lift(orders: np.ndarray, buyers: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Lower end of the lift's 90 % interval; arguments as of `chance`, none of them 0."""
    return special.gammaincinv(buyers, 0.05) / (expected * buyers / orders)


def adjusted(p: np.ndarray, count_tested: int) -> np.ndarray:
    """P-values adjusted for the number of tests by Benjamini and Hochberg.

    Args:
        p: The smallest p-values; those left out count as 1.
        count_tested: Number of all tests.

    Source:
        Benjamini and Hochberg (1995), J. R. Statist. Soc. B 57.

    Example:
        >>> [round(float(one), 9) for one in adjusted(np.array([0.01, 0.001, 0.03]), 4)]
        [0.02, 0.004, 0.04]
    """
    if not len(p):
        return p
    return np.minimum(stats.false_discovery_control(p) * count_tested / len(p), 1.0)


def surest(found: pd.DataFrame, count_tested: int) -> pd.DataFrame:
    """The rules that are more frequent than by chance, the surest lift first.

    Args:
        found: Columns of MEMBERS (item numbers), count_orders, count_customers, expected_orders,
            confidence. Rules left out have a lift below MIN_LIFT.
        count_tested: Number of rules that were looked at, left out or not.

    Returns:
        The rows with `p_adjusted` up to ALPHA, a lift of MIN_LIFT, and MIN_BUYERS customers.
        Further columns: lift, least_lift, p_adjusted.
    """
    figures = [
        found[name].to_numpy(dtype=float)
        for name in ("count_orders", "count_customers", "expected_orders")
    ]
    found = found.assign(
        lift=figures[0] / figures[2],
        least_lift=least_lift(*figures),
        p_adjusted=adjusted(chance(*figures), count_tested),
    )
    keep = (found["p_adjusted"] <= ALPHA) & (found["count_customers"] >= MIN_BUYERS)
    by = [name for name in MEMBERS if name in found]
    return found[keep & (found["lift"] >= MIN_LIFT)].sort_values(
        ["least_lift", "confidence", *by],
        ascending=[False, False, *[True] * len(by)],
        ignore_index=True,
    )
