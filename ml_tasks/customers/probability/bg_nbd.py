"""BG/NBD and MBG/NBD: each customer orders at a random rate and may leave after any order.

In BG/NBD only a repeat can be the last order, so P(alive) is 1 for customers who ordered once:
use its expected orders, not its P(alive). In MBG/NBD the first order can be the last one too.

Source:
    Fader, Hardie and Lee (2005), Marketing Science 24(2):275-284, doi 10.1287/mksc.1040.0098;
    Batislam, Denizel and Filiztekin (2007), International Journal of Research in Marketing
    24(3):201-209, doi 10.1016/j.ijresmar.2006.12.005.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd
from scipy.special import digamma, expit, gammaln, hyp2f1

from ml_tasks.customers.probability.fitting import MIN_REPEAT_CUSTOMERS, in_chunks, maximise
from ml_tasks.customers.probability.rfm import HISTORY, Cells, cells_of

log = logging.getLogger(__name__)

# The expected orders have the form 0/0 where a is 1.
NEAR_ONE = 1e-5


@dataclass(frozen=True)
class BgNbd:
    """A fitted model. Times have the unit of the histories that the model was fitted to.

    Attributes:
        r: Shape of the gamma distribution of order rates.
        alpha: Inverse scale of the same distribution, in time.
        a: First shape of the beta distribution of the chance to leave after an order.
        b: Second shape of the same distribution.
    """

    r: float
    alpha: float
    a: float
    b: float

    name = "bg_nbd"
    # 1 if a customer can leave after the first order, else 0.
    first_counts: ClassVar[int] = 0

    def expected_orders(self, histories: pd.DataFrame, horizon: float | np.ndarray) -> np.ndarray:
        """Expected order days in (age, age + horizon], shape (n_customers,).

        Args:
            histories: Columns of `rfm`.
            horizon: Time ahead, at least 0: a number, or shape (n_customers,).
        """
        return in_chunks(self._expected, histories, HISTORY, horizon)

    def alive_probability(self, histories: pd.DataFrame) -> np.ndarray:
        """Probability of not having left by `age`, shape (n_customers,).

        In BG/NBD it is 1 for a customer without repeats.
        """
        return in_chunks(self._alive, histories, HISTORY)

    def no_order_probability(
        self, histories: pd.DataFrame, horizon: float | np.ndarray
    ) -> np.ndarray:
        """Probability of no order in (age, age + horizon], shape (n_customers,)."""
        return in_chunks(self._no_order, histories, HISTORY, horizon)

    def _alive(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        chances = x + self.first_counts
        stretch = np.log((self.alpha + t) / (self.alpha + t_x))
        log_odds_gone = np.log(self.a / (self.b + np.maximum(chances, 1.0) - 1))
        return np.where(chances > 0, expit(-log_odds_gone - (self.r + x) * stretch), 1.0)

    def _no_order(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: np.ndarray
    ) -> np.ndarray:
        # A customer leaves only after an order, so until the next order this is a plain NBD.
        log_silent = -(self.r + x) * np.log1p(horizon / (self.alpha + t))
        return 1.0 + self._alive(x, t_x, t) * np.expm1(log_silent)

    def _expected(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: np.ndarray
    ) -> np.ndarray:
        is_one = abs(self.a - 1.0) < NEAR_ONE
        around = (1.0 - NEAR_ONE, 1.0 + NEAR_ONE) if is_one else (self.a,)
        sides = [self._expected_if_alive(a, x, t, horizon) for a in around]
        return self._alive(x, t_x, t) * np.mean(sides, axis=0)

    def _expected_if_alive(
        self, a: float, x: np.ndarray, t: np.ndarray, horizon: np.ndarray
    ) -> np.ndarray:
        """Equation 10 of the paper without its denominator.

        In the printed form a vanishing power multiplies a 2F1 that overflows for many repeats.
        After Euler's transformation the 2F1 tends to 1 instead, but overflows where `a` is large.
        So each form is used where the other overflows.
        """
        r, alpha, b = self.r, self.alpha, self.b + self.first_counts
        z = horizon / (alpha + t + horizon)
        n, c, log_stay = r + x, a + b + x - 1, np.log1p(-z)
        is_printed = a - 1 > n
        power = np.where(is_printed, n, a - 1) * log_stay
        series = np.where(
            is_printed,
            hyp2f1(n, b + x, c, np.where(is_printed, z, 0.0)),
            hyp2f1(a - 1, a + b - 1 - r, c, np.where(is_printed, 0.0, z)),
        )
        return -c / (a - 1) * (np.exp(power) * (series - 1) + np.expm1(power))


class MbgNbd(BgNbd):
    """A customer can leave after the first order, too."""

    name = "mbg_nbd"
    first_counts: ClassVar[int] = 1


Kind = TypeVar("Kind", bound=BgNbd)


def fit(histories: pd.DataFrame) -> BgNbd | None:
    """Fit BG/NBD by maximum likelihood. Return None and warn if too few customers repeated.

    Args:
        histories: Columns of `rfm`, rows in any order.
    """
    return fit_cells(cells_of(histories), BgNbd)


def fit_cells(cells: Cells, kind: type[Kind]) -> Kind | None:
    """Fit BG/NBD or MBG/NBD to weighted histories, see `fit`.

    Args:
        cells: Histories, each with a count of customers that need not be whole.
        kind: The model class.
    """
    count_repeaters = int(cells.customers[cells.x > 0].sum())
    if count_repeaters < MIN_REPEAT_CUSTOMERS:
        log.warning(
            "%s needs %d repeaters, not %d", kind.name, MIN_REPEAT_CUSTOMERS, count_repeaters
        )
        return None
    unit = float(np.average(cells.t, weights=cells.customers))
    scaled = Cells(cells.x, cells.t_x / unit, cells.t / unit, cells.customers)
    parameters = maximise(
        lambda trial: mean_log_likelihood(trial, scaled, kind.first_counts), count=4
    )
    if parameters is None:
        return None
    r, alpha, a, b = parameters.tolist()
    return kind(r, alpha * unit, a, b)


def mean_log_likelihood(
    parameters: np.ndarray, cells: Cells, first_counts: int = 0
) -> tuple[float, np.ndarray]:
    """Mean log likelihood of a customer, and the gradient by r, alpha, a and b, shape (4,).

    Args:
        parameters: r, alpha, a, b; shape (4,), above 0.
        cells: The histories.
        first_counts: See BgNbd.
    """
    r, alpha, a, b = parameters
    x, t_x, t = cells.x, cells.t_x, cells.t
    n, chances = r + x, x + first_counts
    last = b + np.maximum(chances, 1.0) - 1
    log_alive = -n * np.log(alpha + t)
    log_gone = np.where(chances > 0, np.log(a / last) - n * np.log(alpha + t_x), -np.inf)
    log_sum = np.logaddexp(log_alive, log_gone)
    gone = np.exp(log_gone - log_sum)
    alive = 1.0 - gone
    value = (
        gammaln(n) - gammaln(r) + r * np.log(alpha)
        + gammaln(a + b) + gammaln(b + chances) - gammaln(b) - gammaln(a + b + chances)
        + log_sum
    )  # fmt: skip
    both = digamma(a + b) - digamma(a + b + chances)
    gradient = [
        digamma(n) - digamma(r) + np.log(alpha)
        - alive * np.log(alpha + t) - gone * np.log(alpha + t_x),
        r / alpha - n * (alive / (alpha + t) + gone / (alpha + t_x)),
        both + gone / a,
        both + digamma(b + chances) - digamma(b) - gone / last,
    ]  # fmt: skip
    share = cells.customers / cells.customers.sum()
    return float((share * value).sum()), np.array([(share * part).sum() for part in gradient])
