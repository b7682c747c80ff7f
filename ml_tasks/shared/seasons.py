"""The level of a date: how much the same customers do after it, against other dates.

A season moves all customers together, and one or two years of history are too few for trees to
learn it from the calendar. So each past snapshot date gets a level of its own, measured on the
customers who ordered in the 90 days before it and given what they did in these days; 90 days are
the same in a young shop and an old one, hence the levels of two years can be compared. The trees
then explain what the levels leave over, and a new date takes the level of a year ago and the trend
since.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from ml_tasks.shared.customer_matrix import history_days

WINDOW_DAYS = 90
YEAR = pd.Timedelta(days=365)
# Keeps the regression finite where a date's customers all did the same.
RIDGE = 1.0
# The trend since last year is the mean over so many newest dates, shrunk as by one more of none.
TREND_DATES = 3


def levels(snapshots: pd.DataFrame, outcome: np.ndarray, family: str) -> pd.Series:
    """Level of each snapshot date, on the scale of the model's linear predictor.

    Args:
        snapshots: Columns of features.customer_snapshots, several dates.
        outcome: Shape (n_snapshots,). 0 or 1 for `logistic`; at least 0 for `log`.
        family: `logistic` (levels are log odds) or `log` (levels are logs of a mean).

    Returns:
        Indexed by date (rising), near 0 on average. Dates before the shop had been watched for 90
        days have none. Empty if none has one or nothing varies.
    """
    rows = (snapshots["days_since_last_order"] <= WINDOW_DAYS).to_numpy() & (
        history_days(snapshots) >= WINDOW_DAYS
    ).to_numpy()
    active, y = snapshots[rows], np.asarray(outcome, dtype=float)[rows]
    if len(active) == 0 or y.min() == y.max():
        return pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    dates, date_of_row = np.unique(active["as_of_date"].to_numpy(), return_inverse=True)
    design = np.hstack([np.eye(len(dates))[date_of_row], _recent_activity(active)])
    if family == "logistic":
        fitted = LogisticRegression(C=1 / RIDGE, solver="newton-cholesky", tol=1e-8).fit(design, y)
        mean = fitted.predict_proba(design)[:, 1]
        weight = mean * (1 - mean)
    else:
        y = y / y.mean()
        fitted = PoissonRegressor(
            alpha=RIDGE / len(y), solver="newton-cholesky", tol=1e-8, max_iter=200
        ).fit(design, y)
        mean = weight = fitted.predict(design)
    noise = np.bincount(date_of_row, (y - mean) ** 2) / np.bincount(date_of_row, weight) ** 2
    values = _shrunk(np.ravel(fitted.coef_)[: len(dates)], noise)
    # Rounded, so that the last bits of a matrix product can't move a tree.
    return pd.Series(np.round(values, 6), index=pd.DatetimeIndex(dates))


def _shrunk(values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Values less their mean, drawn to 0 as far as chance alone would scatter them.

    Args:
        values: Shape (n_dates,).
        noise: Shape (n_dates,), sampling variance of each, allowing for overdispersion.

    Source:
        Morris (1983), doi 10.1080/01621459.1983.10477920, with the variance by moments.
    """
    centred = values - values.mean()
    spread = max(float((centred**2).sum()) / max(len(values) - 1, 1) - float(noise.mean()), 0.0)
    return centred * spread / np.maximum(spread + noise, 1e-12)


def project(known: pd.Series, as_of_date: pd.Timestamp) -> float:
    """Level to expect of a date: that of a year ago plus the trend since, shrunk.

    Without a level a year ago the season is unknown: the mean of the last year's levels.

    Args:
        known: From `levels`.
        as_of_date: Date after the newest known one.
    """
    if known.empty:
        return 0.0
    a_year_ago = _at(known, as_of_date - YEAR)
    if np.isnan(a_year_ago):
        return float(known[known.index > known.index[-1] - YEAR].mean())
    changes = [known[day] - _at(known, day - YEAR) for day in known.index[-TREND_DATES:]]
    seen = [change for change in changes if not np.isnan(change)]
    return a_year_ago + sum(seen) / (len(seen) + 1)


def _at(known: pd.Series, day: pd.Timestamp) -> float:
    """Level of any day between two known ones, in a straight line; NaN outside."""
    if not known.index[0] <= day <= known.index[-1]:
        return float("nan")
    days = (known.index - known.index[0]).days
    return float(np.interp((day - known.index[0]).days, days, known.to_numpy()))


def _recent_activity(active: pd.DataFrame) -> np.ndarray:
    """What a customer did in the last 90 days, logged and standardised: shape (n, 4)."""
    table = np.column_stack(
        [
            np.log1p(active["days_since_last_order"]),
            np.log1p(active["count_orders_30d"]),
            np.log1p(active["count_orders_90d"]),
            np.log1p(active["net_spend_amount_90d"].clip(lower=0)),
        ]
    )
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
