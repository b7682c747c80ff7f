"""Accuracy of survival curves: concordance, integrated Brier score, calibration.

No customer may be censored within the horizon of the curves, so all figures are plain averages.
"""

from __future__ import annotations

import numpy as np

from ml_tasks.evaluation.metrics import calibration_error

CALIBRATION_DAYS = (30, 90, 180)
# Figures that `figures` computes for curves that reach all CALIBRATION_DAYS.
NAMES = (
    "concordance",
    "integrated_brier",
    *(
        name.format(days)
        for days in CALIBRATION_DAYS
        for name in ("mean_order_probability_{}d", "ordered_rate_{}d", "calibration_error_{}d")
    ),
)


def figures(survival: np.ndarray, days: np.ndarray) -> dict[str, float]:
    """The figures NAMES of one model on one test date, as far as the curves reach.

    Args:
        survival: S(t) for t = 0..h, shape (n, h + 1).
        days: Days until the order, shape (n,); above h if there was none by then.

    Returns:
        Figure -> value.
    """
    horizon_days = survival.shape[1] - 1
    result = {
        "concordance": concordance(days, survival.sum(axis=1), horizon_days),
        "integrated_brier": integrated_brier(days, survival),
    }
    for within in CALIBRATION_DAYS:
        if within <= horizon_days:
            probability, is_back = 1 - survival[:, within], days <= within
            result |= {
                f"mean_order_probability_{within}d": float(probability.mean()),
                f"ordered_rate_{within}d": float(is_back.mean()),
                f"calibration_error_{within}d": calibration_error(is_back, probability),
            }
    return result


def concordance(days: np.ndarray, expected_days: np.ndarray, horizon_days: int) -> float:
    """Harrell's C: share of comparable pairs of customers in the right order.

    Args:
        days: Days until the order, shape (n,).
        expected_days: Predicted days until the order, shape (n,).
        horizon_days: Orders after this day do not count.

    Returns:
        In [0, 1]; 0.5 is guessing. NaN if no customer ordered within the horizon.

    Source:
        Harrell et al. (1982), doi 10.1001/jama.1982.03320430047030, by lifelines.
    """
    from lifelines.utils import concordance_index

    is_ordered = days <= horizon_days
    if not is_ordered.any():
        return float("nan")
    return float(concordance_index(np.minimum(days, horizon_days), expected_days, is_ordered))


def integrated_brier(days: np.ndarray, survival: np.ndarray) -> float:
    """Mean over days 1..h of the mean squared difference between S(t) and 1 if no order by t.

    Args:
        days: Days until the order, shape (n,); above h if there was none by then.
        survival: S(t) for t = 0..h, shape (n, h + 1).

    Returns:
        In [0, 1]; 0 is best.

    Source:
        Graf et al. (1999), doi 10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529; no censoring,
        so no weights.
    """
    grid = np.arange(1, survival.shape[1])
    is_waiting = days[:, None] > grid
    return float(np.mean((is_waiting - survival[:, 1:]) ** 2))
