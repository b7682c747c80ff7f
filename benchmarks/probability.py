"""The probability models' cost, beside the published formulas with scipy, in one run.

`python -m benchmarks.probability [CUSTOMERS]`; by default a thousandth, a tenth and all of one
million. Each row is a new process, so that its peak memory is its own.

The published side is what an analyst would write: the log likelihood of the papers over all
customers, maximised by Nelder and Mead, and their closed form of the expected orders.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy import optimize
from scipy.special import betaln, gammaln, hyp2f1

from benchmarks.results import keep_part
from ml_tasks.customers.probability import bg_nbd, gamma_gamma, pareto_nbd

CUSTOMERS = 1_000_000
SHARES = (0.001, 0.1, 1.0)
HORIZON_DAYS = 90
AGE_DAYS = 730
# Nelder and Mead over a million rows would take half an hour and add nothing.
MAX_PUBLISHED = 100_000
LIMIT_SECONDS = 60.0


def simulated(count: int, seed: int = 1) -> pd.DataFrame:
    """Histories of customers who joined over two years, most with one order; in whole days."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, AGE_DAYS, count)
    rate = rng.gamma(0.7, 1 / 65.0, count)
    chance_to_leave = rng.beta(0.5, 2.5, count)
    clock, recency, repeats = np.zeros(count), np.zeros(count), np.zeros(count)
    going = np.arange(count)
    while len(going):
        clock[going] += np.ceil(rng.exponential(1 / rate[going]))
        going = going[clock[going] <= age[going]]
        recency[going] = clock[going]
        repeats[going] += 1
        going = going[rng.random(len(going)) >= chance_to_leave[going]]
    scale = rng.gamma(3.5, 1 / 440.0, count)
    mean = rng.gamma(2.3 * np.maximum(repeats, 1), 1 / scale) / np.maximum(repeats, 1)
    return pd.DataFrame(
        {
            "count_repeats": repeats,
            "recency": recency,
            "age": age.astype(float),
            "mean_repeat_amount": np.where(repeats > 0, mean, 0.0),
        }
    )


def _ours(module: ModuleType, histories: pd.DataFrame) -> dict[str, float]:
    """Seconds to fit and to compute all predictions."""
    started = time.perf_counter()
    model = module.fit(histories)
    fitted = time.perf_counter()
    if module is gamma_gamma:
        results = [model.expected_amount(histories)]
    else:
        results = [
            model.expected_orders(histories, HORIZON_DAYS),
            model.alive_probability(histories),
            model.no_order_probability(histories, HORIZON_DAYS),
        ]
    scored = time.perf_counter()
    return {
        "fit": fitted - started,
        "score": scored - fitted,
        "unscored": sum(int((~np.isfinite(values)).sum()) for values in results),
    }


def _published_bg_nbd(histories: pd.DataFrame) -> dict[str, float]:
    """Seconds to fit by Nelder and Mead, and to compute expected orders by printed equation 10."""
    x, t_x, t = (histories[name].to_numpy() for name in ("count_repeats", "recency", "age"))
    repeats = np.maximum(x, 1)

    def loss(log_parameters: np.ndarray) -> float:
        r, alpha, a, b = np.exp(log_parameters)
        alive = -(r + x) * np.log(alpha + t)
        gone = np.log(a / (b + repeats - 1)) - (r + x) * np.log(alpha + t_x)
        gone = np.where(x > 0, gone, -np.inf)
        value = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        value += betaln(a, b + x) - betaln(a, b) + np.logaddexp(alive, gone)
        return -float(value.mean())

    started = time.perf_counter()
    start = np.log([1.0, t.mean(), 1.0, 1.0])
    fit = optimize.minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000})
    r, alpha, a, b = np.exp(fit.x)
    fitted = time.perf_counter()
    c = a + b + x - 1
    with np.errstate(all="ignore"):
        ahead = ((alpha + t) / (alpha + t + HORIZON_DAYS)) ** (r + x)
        ahead = ahead * hyp2f1(r + x, b + x, c, HORIZON_DAYS / (alpha + t + HORIZON_DAYS))
        gone = (x > 0) * a / (b + repeats - 1) * ((alpha + t) / (alpha + t_x)) ** (r + x)
        expected = c / (a - 1) * (1 - ahead) / (1 + gone)
    scored = time.perf_counter()
    unscored = int((~np.isfinite(expected)).sum())
    return {"fit": fitted - started, "score": scored - fitted, "unscored": unscored}


SIDES: dict[str, Callable[[pd.DataFrame], dict[str, float]]] = {
    "BG/NBD": lambda histories: _ours(bg_nbd, histories),
    "Pareto/NBD": lambda histories: _ours(pareto_nbd, histories),
    "Gamma-Gamma": lambda histories: _ours(gamma_gamma, histories),
    "BG/NBD as published": _published_bg_nbd,
}


def _measure(side: str, count: int) -> dict[str, float]:
    """One row of the table; run it in a new process."""
    histories = simulated(count)
    figures = SIDES[side](histories)
    return {**figures, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(customers: int = CUSTOMERS) -> int:
    """Print the table; return 1 if a model takes over a minute or leaves a customer unscored."""
    table = Table(title=f"Fit, and predictions {HORIZON_DAYS} days ahead")
    for heading in ("", "customers", "fit, s", "score, s", "peak, MB", "not finite"):
        table.add_column(heading, justify="right" if heading else "left")
    is_good = True
    for side in SIDES:
        is_ours = SIDES[side] is not _published_bg_nbd
        for count in sorted({max(int(customers * share), 1_000) for share in SHARES}):
            if not is_ours and count > MAX_PUBLISHED:
                continue
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                row = pool.apply(_measure, (side, count))
            numbers = (f"{row['fit']:.2f}", f"{row['score']:.2f}", f"{row['peak']:,.0f}")
            table.add_row(side, f"{count:,}", *numbers, f"{row['unscored']:,.0f}")
            seconds = row["fit"] + row["score"]
            is_good &= not is_ours or (seconds <= LIMIT_SECONDS and not row["unscored"])
    Console().print(table)
    keep_part("probability", "Probability models", table)
    return int(not is_good)


if __name__ == "__main__":
    raise SystemExit(main(*(int(argument) for argument in sys.argv[1:2])))
