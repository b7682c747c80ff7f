"""Gamma-Gamma: a customer's mean amount per repeat, shrunk to the overall mean if repeats are few.

The model assumes that amounts and order rates are independent; check their correlation first.

Source:
    Fader and Hardie (2013), "The gamma-gamma model of monetary value", brucehardie.com/notes/025;
    Fader, Hardie and Lee (2005), Journal of Marketing Research 42(4):415-430.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import digamma, gammaln

from ml_tasks.customers.probability.fitting import MIN_REPEAT_CUSTOMERS, in_chunks, maximise

log = logging.getLogger(__name__)

# At q = 1 the mean over all customers is infinite.
MIN_Q = 1.1


@dataclass(frozen=True)
class GammaGamma:
    """A fitted model.

    Attributes:
        p: Shape of the gamma distribution of amounts within a customer.
        q: Shape of the gamma distribution of inverse scales between customers, above 1.
        gamma: Inverse scale of that distribution, in the currency of the amounts.
    """

    p: float
    q: float
    gamma: float

    name = "gamma_gamma"

    def expected_amount(self, histories: pd.DataFrame) -> np.ndarray:
        """Expected mean amount per order, shape (n_customers,).

        Without repeats it is the mean over all customers.

        Args:
            histories: Columns `count_repeats` and `mean_repeat_amount`, see `rfm`.
        """
        return in_chunks(self._expected, histories, ("count_repeats", "mean_repeat_amount"))

    def _expected(self, x: np.ndarray, mean_amount: np.ndarray) -> np.ndarray:
        # Repeats at no charge (a free gift, postage alone) carry no information about amounts.
        x = np.where(mean_amount > 0, x, 0.0)
        return self.p * (self.gamma + x * mean_amount) / (self.p * x + self.q - 1)


def fit(histories: pd.DataFrame) -> GammaGamma | None:
    """Fit to customers with paid repeats. Return None and warn if there are too few.

    Args:
        histories: Columns `count_repeats` and `mean_repeat_amount`, see `rfm`; rows in any order.
    """
    x = histories["count_repeats"].to_numpy(dtype=float)
    amount = histories["mean_repeat_amount"].to_numpy(dtype=float)
    is_paid = (x > 0) & (amount > 0)
    if is_paid.sum() < MIN_REPEAT_CUSTOMERS:
        log.warning("Gamma-Gamma needs %d repeaters, not %d", MIN_REPEAT_CUSTOMERS, is_paid.sum())
        return None
    x, amount = x[is_paid], amount[is_paid]
    order = np.lexsort((amount, x))  # sums must not depend on the order of rows
    unit = float(np.median(amount))
    parameters = maximise(
        lambda trial: mean_log_likelihood(trial, x[order], amount[order] / unit),
        count=3,
        lowest={1: MIN_Q},
    )
    if parameters is None:
        return None
    p, q, gamma = parameters.tolist()
    return GammaGamma(p, q, gamma * unit)


def mean_log_likelihood(
    parameters: np.ndarray, x: np.ndarray, amount: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean log likelihood of a customer, and the gradient by p, q and gamma, shape (3,).

    Args:
        parameters: p, q, gamma; shape (3,), above 0.
        x: Paid repeats of each customer, shape (n_customers,), at least 1.
        amount: Mean amount per repeat, shape (n_customers,), above 0.
    """
    p, q, gamma = parameters
    shape, total = p * x, gamma + x * amount
    value = (
        gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(gamma)
        + (shape - 1) * np.log(amount) + shape * np.log(x) - (shape + q) * np.log(total)
    )  # fmt: skip
    both = digamma(shape + q) - np.log(total)
    gradient = [
        x * (both - digamma(shape) + np.log(amount) + np.log(x)),
        both - digamma(q) + np.log(gamma),
        q / gamma - (shape + q) / total,
    ]
    return float(value.mean()), np.array([part.mean() for part in gradient])
