"""Plots for the model card of survival: calibration, mean curves, curves of groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.evaluation.plots import lines, reliability
from ml_tasks.survival.accuracy import CALIBRATION_DAYS


def of_cut(survival: dict[str, np.ndarray], days: np.ndarray) -> dict[str, bytes]:
    """Plot predictions against outcomes on a cut: calibration, and the mean curve by day.

    Args:
        survival: Model -> S(t) for t = 0..h, shape (n, h + 1).
        days: Days until the order, shape (n,); above h if there was none by then.

    Returns:
        File name -> PNG.
    """
    horizon_days = next(iter(survival.values())).shape[1] - 1
    pictures = {
        f"calibration_{within}d.png": reliability(
            days <= within, {name: 1 - s[:, within] for name, s in survival.items()}
        )
        for within in CALIBRATION_DAYS
        if within <= horizon_days
    }
    grid = np.arange(horizon_days + 1)
    means = {name: (grid, s.mean(axis=0)) for name, s in survival.items()}
    means["what happened"] = grid, (days[:, None] > grid).mean(axis=0)
    pictures["mean_survival.png"] = lines("days", "share without an order", means)
    return pictures


def of_curves(curves: pd.DataFrame) -> bytes:
    """PNG with the curves of all customers and of the spend tiers.

    Args:
        curves: As of `curves_by_group`.
    """
    shown = curves[curves["group_name"].str.match("all$|spend tier: ")]
    return lines(
        "days since the customer was looked at",
        "share without an order",
        {
            str(name): (curve["day"].to_numpy(), curve["survival_probability"].to_numpy())
            for name, curve in shown.groupby("group_name", sort=False)
        },
    )
