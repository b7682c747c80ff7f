"""Better, tie or worse: a paired bootstrap within a cut, Holm's correction over cuts and peers."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from benchmarks.judge.paired import BETTER, Judgement, Measure, goodness

DRAWS = 1_000
CELLS_AT_ONCE = 2_000_000
SEED = 7
SIGNIFICANT = 0.05
COLUMNS = ("measure", "peer", "ours", "theirs", "difference", "spread", "p_value")


def paired(judgement: Judgement, ours: str, draws: int = DRAWS, seed: int = SEED) -> pd.DataFrame:
    """Compare our figure with each peer's, over draws of the same customers, or series.

    A thousand draws resolve no p-value below .002, and Holm over thirty comparisons requires less:
    the tail is the normal's, with the bootstrap's standard error.

    Args:
        judgement: Judgement of one cut.
        ours: The model to compare with all others.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Returns:
        One row per measure and peer with columns measure, peer, ours, theirs, difference (above 0:
        ours is better), spread (its standard error), p_value (two-sided). No row where we or the
        peer lack the measure.

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    rows = []
    for name, by_model in judgement.measures.items():
        if ours not in by_model:
            continue
        at_once, drawn = _figures(by_model, draws, seed)
        for peer in by_model:
            if peer == ours:
                continue
            difference = goodness(at_once[ours] - at_once[peer], BETTER[name])
            apart = drawn[ours] - drawn[peer]
            apart = apart[np.isfinite(apart)]
            spread = float(apart.std(ddof=1)) if len(apart) > 1 else math.nan
            figures = at_once[ours], at_once[peer], difference, spread
            rows.append((name, peer, *figures, _two_sided(difference, spread)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _figures(
    by_model: dict[str, Measure], draws: int, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Each model's figure over all rows, and its figures over each draw."""
    n = _size(by_model)
    random = np.random.default_rng(seed)
    once = {model: float(measure.of(np.ones((1, n)))[0]) for model, measure in by_model.items()}
    parts: dict[str, list[np.ndarray]] = {model: [] for model in by_model}
    at_once = max(1, CELLS_AT_ONCE // n)
    for done in range(0, draws, at_once):
        size = min(at_once, draws - done)
        places = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(float)
        for model, measure in by_model.items():
            parts[model].append(measure.of(counts))
    return once, {model: np.concatenate(values) for model, values in parts.items()}


def _size(by_model: dict[str, Measure]) -> int:
    return next(iter(by_model.values())).count_rows


def _two_sided(difference: float, spread: float) -> float:
    if not (math.isfinite(difference) and math.isfinite(spread)):
        return math.nan
    if spread == 0:
        return 1.0 if difference == 0 else 0.0
    return 2 * NormalDist().cdf(-abs(difference) / spread)


def pooled(rows: pd.DataFrame) -> float:
    """Two-sided p-value of the mean difference to one peer, over cuts with disjoint windows.

    Args:
        rows: Rows of `paired` for one measure and peer, one per cut.
    """
    variance = float((rows["spread"] ** 2).sum(skipna=False))
    return _two_sided(float(rows["difference"].sum(skipna=False)), math.sqrt(variance))


def decide(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Add verdicts, with Holm's correction within each family of comparisons.

    Args:
        rows: Rows of `paired`, for any number of cuts and shops.
        by: Columns that define a family, such as shop and measure; all its cuts and peers are
            corrected together.

    Returns:
        The rows with p_adjusted and verdict: `better`, `worse`, or `tie` if p_adjusted is .05 or
        more, or not known.

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    adjusted = rows.groupby(by)["p_value"].transform(holm)
    is_clear = adjusted < SIGNIFICANT
    verdict = np.where(is_clear, np.where(rows["difference"] > 0, "better", "worse"), "tie")
    return rows.assign(p_adjusted=adjusted, verdict=verdict)


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's adjusted p-values; NaN stays NaN and does not count as a comparison."""
    known = p_values.dropna().sort_values(kind="stable")
    steps = known.to_numpy() * np.arange(len(known), 0, -1)
    adjusted = pd.Series(np.minimum(np.maximum.accumulate(steps), 1.0), known.index)
    return adjusted.reindex(p_values.index)


def decide_signs(differences: pd.Series) -> tuple[int, int, float]:
    """Number of shops where ours is ahead, number with a difference, and the sign test's p-value.

    Args:
        differences: One per shop; above 0: ours is better.

    Source:
        Dixon and Mood (1946), Journal of the American Statistical Association 41:557-566.
    """
    apart = differences.dropna()
    apart = apart[apart != 0]
    ahead, n = int((apart > 0).sum()), len(apart)
    tail = sum(math.comb(n, k) for k in range(max(ahead, n - ahead), n + 1)) / 2**n
    return ahead, n, min(1.0, 2 * tail)
