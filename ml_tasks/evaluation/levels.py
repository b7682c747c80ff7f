"""How far the means of several models were off, and where the next mean will be.

A date's level (the share of customers who order in the 90 days after it) is one piece of news,
however many customers there are: the season and the shop's own fortune move them all. So each
model's level is put right by what it missed on past dates, drawn to no correction by how much the
dates disagree; and models count by how little they missed then.

Source:
    James and Stein (1961), Proceedings of the Fourth Berkeley Symposium 1:361-379 (positive part);
    Bates and Granger (1969), doi 10.2307/3008764 (weights by inverse mean squared error).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A level of so much log odds (or log) is a usual surprise, known before any evidence as if it had
# been seen on so many dates. From the tuning shops, see DECISIONS.
USUAL_MISS = 0.25
PRIOR_DATES = 2.0
# Dates a month apart share two thirds of a quarter, so three of them are one piece of news.
OVERLAPPING_DATES = 3.0
# News of a year and more ago counts for less and less.
HALF_LIFE_DATES = 4.0
# Models count by this power of their inverse mean squared miss: 1 is right for misses that have
# nothing to do with each other, and those of models without a season are all of the season.
SHARPNESS = 2.0
# A model whose level was never tested counts as if it missed by so much more.
UNTESTED_VARIANCES = 2.0


@dataclass(frozen=True)
class Levels:
    """What was learnt of the models' levels; shape (n_models,) each.

    Attributes:
        correction: To be added to the level that a model says.
        weight: Of the corrected levels; they sum to 1.
    """

    correction: np.ndarray
    weight: np.ndarray

    def of(self, said: np.ndarray) -> float:
        """The level to expect.

        Args:
            said: Level that each model says, log odds or log, shape (n_models,).
        """
        return float((self.weight * (said + self.correction)).sum())


def untested(count_models: int) -> Levels:
    """Without a past date: no correction, equal weights."""
    return Levels(np.zeros(count_models), np.full(count_models, 1 / count_models))


def learnt(
    missed: np.ndarray, sampling_variance: np.ndarray, overlapping: float = OVERLAPPING_DATES
) -> Levels:
    """Corrections and weights from what was missed on past dates.

    Args:
        missed: Level that came less level that was said, shape (n_dates, n_models), oldest first;
            NaN where a model could not be fitted then.
        sampling_variance: Of the level that came, by the count of customers, shape (n_dates,).
        overlapping: So many dates in a row share most of their windows: one piece of news.
    """
    if not len(missed):
        return untested(missed.shape[1])
    age = np.arange(len(missed))[::-1]
    news = 0.5 ** (age / HALF_LIFE_DATES)
    found = [_of_model(column, news, sampling_variance, overlapping) for column in missed.T]
    correction, variance = np.array(found).T
    weight = variance**-SHARPNESS
    return Levels(correction, weight / weight.sum())


def _of_model(
    missed: np.ndarray, news: np.ndarray, sampling: np.ndarray, overlapping: float
) -> tuple[float, float]:
    """Correction of a model's level, and mean squared miss once it is corrected."""
    is_known = ~np.isnan(missed)
    if not is_known.any():
        return 0.0, UNTESTED_VARIANCES * USUAL_MISS**2
    missed, news = missed[is_known], news[is_known]
    by_chance = float(np.average(sampling[is_known], weights=news))
    count = news.sum() ** 2 / (news**2).sum() / overlapping
    mean = float(np.average(missed, weights=news))
    spread = _drawn(float(np.average((missed - mean) ** 2, weights=news)), count)
    variance_of_mean = spread / count + by_chance / max(count, 1.0)
    kept = max(0.0, 1 - variance_of_mean / mean**2) if mean else 0.0
    correction = kept * mean
    left = _drawn(float(np.average((missed - correction) ** 2, weights=news)), count)
    return correction, left + by_chance


def _drawn(variance: float, count: float) -> float:
    """A variance of `count` independent dates, drawn to the usual one."""
    return (variance * count + USUAL_MISS**2 * PRIOR_DATES) / (count + PRIOR_DATES)
