"""Pareto/NBD: each customer orders at a random rate until leaving, unobserved, at any time.

Likelihood and predictions need one kind of integral over the time at which a customer left. Gauss-
Legendre quadrature in log time computes it to at least nine digits, also where the 2F1 of the
published closed form overflows. Gradients use the same nodes.

Source:
    Schmittlein, Morrison and Colombo (1987), Management Science 33(1):1-24; Fader and Hardie
    (2005), "A note on deriving the Pareto/NBD model", brucehardie.com/notes/009.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import digamma, expit, exprel, gammaln

from ml_tasks.customers.probability.fitting import MIN_REPEAT_CUSTOMERS, in_chunks, maximise
from ml_tasks.customers.probability.rfm import HISTORY, Cells, cells_of

log = logging.getLogger(__name__)

COUNT_NODES = 32
# The integral is cut off where the integrand has fallen by a factor of e**-40.
LARGEST_FALL = 40.0


@dataclass(frozen=True)
class ParetoNbd:
    """A fitted model. Times have the unit of the histories that the model was fitted to.

    Attributes:
        r: Shape of the gamma distribution of order rates.
        alpha: Inverse scale of the distribution of order rates, in time.
        s: Shape of the gamma distribution of leaving rates.
        beta: Inverse scale of the distribution of leaving rates, in time.
    """

    r: float
    alpha: float
    s: float
    beta: float

    name = "pareto_nbd"

    def expected_orders(self, histories: pd.DataFrame, horizon: float | np.ndarray) -> np.ndarray:
        """Expected order days in (age, age + horizon], shape (n_customers,).

        Args:
            histories: Columns of `rfm`.
            horizon: Time ahead, at least 0: a number, or shape (n_customers,).
        """
        return in_chunks(self._expected, histories, HISTORY, horizon)

    def alive_probability(self, histories: pd.DataFrame) -> np.ndarray:
        """Probability of not having left by `age`, shape (n_customers,)."""
        return in_chunks(self._alive, histories, HISTORY)

    def no_order_probability(
        self, histories: pd.DataFrame, horizon: float | np.ndarray
    ) -> np.ndarray:
        """Probability of no order in (age, age + horizon], shape (n_customers,)."""
        return in_chunks(self._no_order, histories, HISTORY, horizon)

    def _alive(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        n = self.r + x
        log_alive = -n * np.log(self.alpha + t) - self.s * np.log(self.beta + t)
        nodes = _Nodes(self.alpha, self.beta, n, self.s + 1, t_x, t)
        return expit(log_alive - np.log(self.s) - nodes.log_integral)

    def _expected(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: np.ndarray
    ) -> np.ndarray:
        # Equation 22 of the note, in a form that is also defined at s = 1.
        log_stretch = np.log1p(horizon / (self.beta + t))
        time_alive = (self.beta + t) * log_stretch * exprel((1 - self.s) * log_stretch)
        return self._alive(x, t_x, t) * (self.r + x) / (self.alpha + t) * time_alive

    def _no_order(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, horizon: np.ndarray
    ) -> np.ndarray:
        # A customer alive at t places the next order after v with density
        # rate * exp(-(rate + leaving) v).
        n, alpha, beta = self.r + x, self.alpha + t, self.beta + t
        nodes = _Nodes(alpha, beta, n + 1, self.s, np.zeros(len(x)), horizon)
        log_scale = np.log(n) + n * np.log(alpha) + self.s * np.log(beta)
        return 1.0 - self._alive(x, t_x, t) * np.exp(log_scale + nodes.log_integral)


class _Nodes:
    """The integral of (alpha + u)**-k (beta + u)**-m over u from `start` to `stop`.

    Attributes:
        log_integral: Shape (n,); -inf where `start` equals `stop`.
        log_alpha_u: log(alpha + u) at the nodes, shape (n, COUNT_NODES).
        log_beta_u: log(beta + u) at the nodes, shape (n, COUNT_NODES).
        share: Share of each node in the integral, shape (n, COUNT_NODES); rows sum to 1.
    """

    def __init__(
        self,
        alpha: float | np.ndarray,
        beta: float | np.ndarray,
        k: np.ndarray,
        m: float,
        start: np.ndarray,
        stop: np.ndarray,
    ) -> None:
        # For large k the integrand falls off right after `start`.
        fall = np.expm1(np.minimum(LARGEST_FALL / k, 700.0))
        stop = np.minimum(stop, start + (alpha + start) * fall)
        # Integrate over log(least + u), where `least` is the smaller of alpha and beta: in this
        # variable the integrand is smooth even if `least` is close to 0.
        least, gap = np.minimum(alpha, beta), np.abs(np.subtract(alpha, beta))
        begin = np.log(least + start)
        length = np.log1p((stop - start) / (least + start))
        place, weight = np.polynomial.legendre.leggauss(COUNT_NODES)
        log_least_u = begin[:, None] + length[:, None] * ((place + 1) / 2)
        log_other_u = np.log(np.exp(log_least_u) + np.broadcast_to(gap, begin.shape)[:, None])
        is_alpha_least = bool(np.all(np.less_equal(alpha, beta)))
        pair = (log_least_u, log_other_u) if is_alpha_least else (log_other_u, log_least_u)
        self.log_alpha_u, self.log_beta_u = pair
        terms = log_least_u - k[:, None] * self.log_alpha_u - m * self.log_beta_u
        terms += np.log(weight / 2)
        highest = terms.max(axis=1)
        shares = np.exp(terms - highest[:, None])
        total = shares.sum(axis=1)
        with np.errstate(divide="ignore"):
            self.log_integral = highest + np.log(total) + np.log(length)
        self.share = shares / total[:, None]


def fit(histories: pd.DataFrame) -> ParetoNbd | None:
    """Fit by maximum likelihood. Return None and warn if too few customers repeated.

    Args:
        histories: Columns of `rfm`, rows in any order.
    """
    cells = cells_of(histories)
    count_repeaters = int(cells.customers[cells.x > 0].sum())
    if count_repeaters < MIN_REPEAT_CUSTOMERS:
        log.warning("Pareto/NBD needs %d repeaters, not %d", MIN_REPEAT_CUSTOMERS, count_repeaters)
        return None
    unit = float(np.average(cells.t, weights=cells.customers))
    scaled = Cells(cells.x, cells.t_x / unit, cells.t / unit, cells.customers)
    parameters = maximise(lambda trial: mean_log_likelihood(trial, scaled), count=4)
    if parameters is None:
        return None
    r, alpha, s, beta = parameters.tolist()
    return ParetoNbd(r, alpha * unit, s, beta * unit)


def mean_log_likelihood(parameters: np.ndarray, cells: Cells) -> tuple[float, np.ndarray]:
    """Mean log likelihood of a customer, and the gradient by r, alpha, s and beta, shape (4,).

    Args:
        parameters: r, alpha, s, beta; shape (4,), above 0.
        cells: The histories.
    """
    r, alpha, s, beta = parameters
    x, t = cells.x, cells.t
    n = r + x
    nodes = _Nodes(alpha, beta, n, s + 1, cells.t_x, t)
    log_alive = -n * np.log(alpha + t) - s * np.log(beta + t)
    log_gone = np.log(s) + nodes.log_integral
    log_sum = np.logaddexp(log_alive, log_gone)
    alive, gone = np.exp(log_alive - log_sum), np.exp(log_gone - log_sum)
    value = gammaln(n) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + log_sum

    def mean_over_leaving(at_nodes: np.ndarray) -> np.ndarray:
        return gone * (nodes.share * at_nodes).sum(axis=1)

    gradient = [
        digamma(n) - digamma(r) + np.log(alpha)
        - alive * np.log(alpha + t) - mean_over_leaving(nodes.log_alpha_u),
        r / alpha - n * (alive / (alpha + t) + mean_over_leaving(np.exp(-nodes.log_alpha_u))),
        np.log(beta) + gone / s
        - alive * np.log(beta + t) - mean_over_leaving(nodes.log_beta_u),
        s / beta - s * alive / (beta + t) - (s + 1) * mean_over_leaving(np.exp(-nodes.log_beta_u)),
    ]  # fmt: skip
    share = cells.customers / cells.customers.sum()
    return float((share * value).sum()), np.array([(share * part).sum() for part in gradient])
