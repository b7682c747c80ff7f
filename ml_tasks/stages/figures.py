"""Figures of predicted stages against the stages that came."""

from __future__ import annotations

import numpy as np

from ml_tasks.evaluation import metrics
from ml_tasks.stages.rules import AT_RISK, LOST, STAGES

FLOOR = 1e-4  # a probability below it counts as so much in the log loss


def figures(stage_after: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Log loss, Brier score, and calibration errors over the stages; empty without rows.

    Args:
        stage_after: Number of the actual stage in STAGES, shape (n,).
        probability: Predicted probability of each stage, shape (n, n_stages).

    Returns:
        `log_loss` in nats; `brier`: mean over rows of the sum over stages, Brier (1950), doi
        10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2; `calibration_error`: mean over the stages
        of the error over ten bins of equal count; `worst_calibration_error`: the largest of them;
        `mean_slipping_probability` and `slipping_rate`: of being at risk or lost.

    Example:
        >>> certain = np.eye(len(STAGES))[[2, 3]]
        >>> figures(np.array([2, 3]), certain)["brier"]
        0.0
    """
    if not len(stage_after):
        return {}
    actual = np.eye(len(STAGES))[stage_after]
    predicted = probability[np.arange(len(stage_after)), stage_after]
    errors = [
        metrics.calibration_error(actual[:, stage], probability[:, stage])
        for stage in range(len(STAGES))
    ]
    return {
        "log_loss": float(-np.log(np.maximum(predicted, FLOOR)).mean()),
        "brier": float(((probability - actual) ** 2).sum(axis=1).mean()),
        "calibration_error": float(np.mean(errors)),
        "worst_calibration_error": float(np.max(errors)),
        "mean_slipping_probability": float(probability[:, [AT_RISK, LOST]].sum(axis=1).mean()),
        "slipping_rate": float(np.isin(stage_after, [AT_RISK, LOST]).mean()),
    }
