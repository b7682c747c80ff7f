"""MBG/NBD: customers buy at their own rate until, after an order, they leave for good.

Unlike BG/NBD a customer can leave after the very first order, so that one-time buyers are not all
taken for alive. Orders are Poisson, rates gamma (r, alpha), chances to leave after an order beta
(a, b).

Source:
    Batislam, Denizel and Filiztekin (2007), doi 10.1016/j.ijresmar.2006.12.005; the conditional
    expectation by Wagner and Hoppe (2008), doi 10.3139/9783446418240.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

BOUND = 5.0  # on the log of each parameter, time in units of the mean age


@dataclass(frozen=True)
class MbgNbd:
    """Fitted parameters. Histories are x (repeat orders), t_x (age at the last order), t (age)."""

    r: float
    alpha: float
    a: float
    b: float

    def parameters(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)

    def alive_probability(self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Chance that the customer has not left, shape (n,)."""
        silence = (self.r + x) * np.log((self.alpha + t) / (self.alpha + t_x))
        return 1 / (1 + np.exp(np.log(self.a / (self.b + x)) + np.minimum(silence, 700.0)))

    def order_probability(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, ahead: np.ndarray
    ) -> np.ndarray:
        """Chance of an order within `ahead`, shape (n,)."""
        none = np.exp((self.r + x) * np.log((self.alpha + t) / (self.alpha + t + ahead)))
        return self.alive_probability(x, t_x, t) * (1 - none)

    def expected_orders(
        self, x: np.ndarray, t_x: np.ndarray, t: np.ndarray, ahead: np.ndarray
    ) -> np.ndarray:
        """Expected orders within `ahead`, shape (n,)."""
        a = self.a if abs(self.a - 1) > 1e-4 else 1 + 1e-4
        shape, end = self.r + x, self.alpha + t + ahead
        with np.errstate(over="ignore", invalid="ignore"):
            curve = hyp2f1(shape, self.b + x + 1, a + self.b + x, ahead / end)
            staying = np.exp(shape * np.log((self.alpha + t) / end))
            orders = (a + self.b + x) / (a - 1) * (1 - staying * curve)
        # the series overflows for very large counts; such a customer hardly leaves in the window
        at_rate = shape / (self.alpha + t) * ahead
        is_sound = np.isfinite(orders) & (orders >= 0) & (orders <= at_rate * (1 + 1e-6))
        return self.alive_probability(x, t_x, t) * np.where(is_sound, orders, at_rate)


def fit(
    x: np.ndarray,
    t_x: np.ndarray,
    t: np.ndarray,
    weight: np.ndarray,
    start: MbgNbd | None = None,
) -> MbgNbd:
    """Maximum likelihood of weighted histories, shape (n,) each, n > 0; rounded to 6 digits."""
    unit = max(float(np.average(t, weights=weight)), 1e-9)

    def loss(logs: np.ndarray) -> float:
        each = log_likelihood(MbgNbd(*np.exp(logs)), x, t_x / unit, t / unit)
        return -float(np.average(each, weights=weight))

    first = np.zeros(4)
    if start is not None:
        first = np.log([start.r, start.alpha / unit, start.a, start.b]).clip(-BOUND, BOUND)
    found = minimize(loss, first, method="L-BFGS-B", bounds=[(-BOUND, BOUND)] * 4)
    r, alpha, a, b = (float(f"{value:.6g}") for value in np.exp(found.x))
    return MbgNbd(r, float(f"{alpha * unit:.6g}"), a, b)


def log_likelihood(process: MbgNbd, x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Log likelihood of each history, less what no parameter changes."""
    r, alpha, a, b = process.r, process.alpha, process.a, process.b
    shared = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x + 1) - betaln(a, b)
    stayed = -(r + x) * np.log(alpha + t)
    left = np.log(a) - np.log(b + x) - (r + x) * np.log(alpha + t_x)
    return shared + np.logaddexp(stayed, left)
