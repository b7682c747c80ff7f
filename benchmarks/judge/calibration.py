"""Calibration of probabilities and bands, beside a perfect model's, which is off by chance."""

from __future__ import annotations

import numpy as np

from ml_tasks.evaluation import metrics

DRAWS = 1_000
AT_ONCE = 50
SEED = 7
LEVELS = (0.1, 0.5, 0.9)
NOT_BY_CHANCE = 0.05


def error_and_limit(is_event: np.ndarray, probability: np.ndarray, prefix: str) -> dict[str, float]:
    """Calibration error over ten bins of equal count, and its 95 % point for a perfect model.

    Args:
        is_event: Shape (n,).
        probability: Shape (n,).
        prefix: The figures are named `<prefix>` and `<prefix>_limit`.
    """
    return {
        prefix: metrics.calibration_error(is_event, probability),
        f"{prefix}_limit": perfect_limit(probability),
    }


def perfect_limit(probability: np.ndarray, draws: int = DRAWS, seed: int = SEED) -> float:
    """The 95 % point of the calibration error if each event has exactly its probability."""
    chance = np.clip(np.asarray(probability, dtype=float), 0, 1)
    bins = metrics.equal_count_bins(chance)
    sorted_chance = chance[np.concatenate(bins)].astype(np.float32)
    starts = np.cumsum([0, *(len(rows) for rows in bins[:-1])])
    expected = np.add.reduceat(sorted_chance.astype(float), starts)
    random = np.random.default_rng(seed)
    errors = []
    for done in range(0, draws, AT_ONCE):
        shape = (min(AT_ONCE, draws - done), len(chance))
        came = (random.random(shape, dtype=np.float32) < sorted_chance).astype(np.int32)
        off = np.abs(np.add.reduceat(came, starts, axis=1) - expected).sum(axis=1)
        errors.append(off / len(chance))
    return float(np.quantile(np.concatenate(errors), 0.95))


def randomised_pit(
    actual: np.ndarray, chance: np.ndarray, quantiles: np.ndarray, seed: int = SEED
) -> np.ndarray:
    """Randomised probability integral transform of each amount, shape (n,).

    The probability of an amount above 0 and three quantiles give the predicted distribution at four
    points; between them, values are drawn evenly. For a true model the result is uniform on [0, 1].

    Args:
        actual: Amounts, at least 0, shape (n,).
        chance: Probability of an amount above 0, shape (n,).
        quantiles: Quantiles at LEVELS, ascending, shape (n, 3).
        seed: Seed of the draws.

    Source:
        Brockwell (2007), Statistics and Probability Letters 77:1473-1478.
    """
    none = 1 - np.clip(chance, 0, 1)
    levels = np.array(LEVELS)
    below = np.where(quantiles < actual[:, None], levels, 0.0).max(axis=1)
    above = np.where(quantiles >= actual[:, None], levels, 1.0).min(axis=1)
    is_none = actual <= 0
    low = np.where(is_none, 0.0, np.maximum(below, none))
    high = np.where(is_none, none, np.maximum(above, none))
    return low + (high - low) * np.random.default_rng(seed).random(len(actual))


def uniformity(pit: np.ndarray) -> dict[str, float]:
    """Kolmogorov and Smirnov's largest distance to uniform, and its p-value.

    Source:
        Massey (1951), Journal of the American Statistical Association 46:68-78.
    """
    from scipy.stats import kstest

    test = kstest(pit, "uniform")
    return {"pit_distance": float(test.statistic), "pit_p": float(test.pvalue)}
