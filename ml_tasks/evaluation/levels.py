"""Correct and weight the mean predictions of several models by their errors on past dates.

A date's level (the share of customers who order in the 90 days after it) is one observation,
however many customers there are: the season and the shop's fortune move all of them together. So
each model's level is corrected by its mean error on past dates. The more the dates disagree, the
more the correction is shrunk to 0. Models with small errors have large weights.

Source:
    James and Stein (1961), Proceedings of the Fourth Berkeley Symposium 1:361-379 (positive part);
    Bates and Granger (1969), doi 10.2307/3008764 (weights by inverse mean squared error).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Prior: a usual error of a level in log odds (or logs), and the number of dates that it counts as.
# From the tuning shops, see docs/decisions/customer_models.md.
USUAL_MISS = 0.25
PRIOR_DATES = 2.0
# Dates a month apart share two thirds of a quarter, so three of them are one observation.
OVERLAPPING_DATES = 3.0
# The weight of a date halves with every so many newer dates.
HALF_LIFE_DATES = 4.0
# Models are weighted by this power of their inverse mean squared error. 1 is right for independent
# errors, but the errors of models without a season all come from the season.
SHARPNESS = 2.0
# Variance of a model with an untested level, in units of the usual squared error.
UNTESTED_VARIANCES = 2.0


@dataclass(frozen=True)
class Levels:
    """Corrections and weights of the models' levels, each of shape (n_models,).

    Attributes:
        correction: Added to a model's predicted level.
        weight: Weights of the corrected levels; they sum to 1.
    """

    correction: np.ndarray
    weight: np.ndarray

    def of(self, predicted: np.ndarray) -> float:
        """The combined level.

        Args:
            predicted: Level that each model predicts, log odds or log, shape (n_models,).
        """
        return float((self.weight * (predicted + self.correction)).sum())


def untested(count_models: int) -> Levels:
    """No correction and equal weights, for a shop without past dates."""
    return Levels(np.zeros(count_models), np.full(count_models, 1 / count_models))


def learnt(
    missed: np.ndarray, sampling_variance: np.ndarray, overlapping: float = OVERLAPPING_DATES
) -> Levels:
    """Learn corrections and weights from the models' errors on past dates.

    Args:
        missed: Actual level less predicted level, shape (n_dates, n_models), oldest first; NaN if a
            model could not be fitted.
        sampling_variance: Sampling variance of the actual level, shape (n_dates,).
        overlapping: Number of consecutive dates that count as one independent observation.
    """
    if not len(missed):
        return untested(missed.shape[1])
    age = np.arange(len(missed))[::-1]
    date_weight = 0.5 ** (age / HALF_LIFE_DATES)
    models = [_of_model(column, date_weight, sampling_variance, overlapping) for column in missed.T]
    correction, variance = np.array(models).T
    weight = variance**-SHARPNESS
    return Levels(correction, weight / weight.sum())


def _of_model(
    missed: np.ndarray, date_weight: np.ndarray, sampling: np.ndarray, overlapping: float
) -> tuple[float, float]:
    """A model's correction, and the mean squared error that is left after it."""
    is_known = ~np.isnan(missed)
    if not is_known.any():
        return 0.0, UNTESTED_VARIANCES * USUAL_MISS**2
    missed, date_weight = missed[is_known], date_weight[is_known]
    by_chance = float(np.average(sampling[is_known], weights=date_weight))
    count = date_weight.sum() ** 2 / (date_weight**2).sum() / overlapping
    mean = float(np.average(missed, weights=date_weight))
    spread = _shrunk(float(np.average((missed - mean) ** 2, weights=date_weight)), count)
    variance_of_mean = spread / count + by_chance / max(count, 1.0)
    kept = max(0.0, 1 - variance_of_mean / mean**2) if mean else 0.0
    correction = kept * mean
    left = _shrunk(float(np.average((missed - correction) ** 2, weights=date_weight)), count)
    return correction, left + by_chance


def _shrunk(variance: float, count: float) -> float:
    """The variance over `count` independent dates, shrunk to the usual one."""
    return (variance * count + USUAL_MISS**2 * PRIOR_DATES) / (count + PRIOR_DATES)
