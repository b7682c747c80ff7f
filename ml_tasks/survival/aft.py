"""Weibull model of accelerated failure time: a parametric curve for comparison in the report."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers.shop_days import ShopDays
from ml_tasks.survival.curves import CAP_DAYS
from ml_tasks.survival.hazards import in_shop_days
from ml_tasks.survival.model import PENALTY
from ml_tasks.survival.observations import (
    covariates,
    once_each,
    recent,
    usual_order_amount,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeibullModel:
    """S(t) = exp(-(t / scale) ** shape), with a scale per customer and t in shop days.

    Attributes:
        log_scale: Coefficients of the log of the scale by feature, and `Intercept`.
        shape: Below 1, an order gets less likely the longer a customer stays away.
        shop_days: Shop days in each calendar day.
        order_amount: Unit of spend, shop currency.
    """

    log_scale: pd.Series
    shape: float
    shop_days: ShopDays
    order_amount: float

    name = "weibull_aft"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer from `day` on, shape (n_rows, CAP_DAYS + 1), first column 1."""
        slopes = self.log_scale.drop("Intercept")
        values = covariates(snapshots, self.order_amount)[slopes.index]
        scale = np.exp(values @ slopes + self.log_scale["Intercept"])
        path = self.shop_days.path(day, CAP_DAYS)
        return np.exp(-((path / scale.to_numpy()[:, None]) ** self.shape))


def fit_aft(observations: pd.DataFrame, shop_days: ShopDays) -> WeibullModel | None:
    """Fit to one observation per customer.

    Args:
        observations: As of `observations_of`.
        shop_days: As known on the day after the last observed one.

    Returns:
        None if the customers do not differ or the fit does not converge.
    """
    from lifelines import WeibullAFTFitter
    from lifelines.exceptions import ConvergenceError

    once = once_each(recent(observations))
    order_amount = usual_order_amount(once)
    frame = covariates(once, order_amount)
    frame = frame.loc[:, frame.std() > 1e-6]
    if frame.empty:
        return None
    scale = frame.std()
    scaled = (frame / scale).assign(
        days=in_shop_days(once, shop_days), is_ordered=once["is_ordered"]
    )
    fitter = WeibullAFTFitter(penalizer=PENALTY)
    try:
        fitter.fit(scaled, duration_col="days", event_col="is_ordered")
    except ConvergenceError as error:
        log.warning("the AFT can't be fitted to %d observations: %s", len(frame), error)
        return None
    fitted = fitter.params_["lambda_"]
    slopes = fitted.drop("Intercept") / scale
    log_scale = pd.concat([slopes, fitted[["Intercept"]]])
    shape = float(np.exp(fitter.params_["rho_"].iloc[0]))
    return WeibullModel(log_scale, shape, shop_days, order_amount)
