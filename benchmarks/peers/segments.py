"""Segments on logs of recency, frequency and money: k-means, a Gaussian mixture, Ward."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from benchmarks.judge.segments import COUNT_RESAMPLES, MOMENTS, RESAMPLES, facts_at
from benchmarks.predictions import Predictions, for_each_cut

Assign = Callable[[np.ndarray], np.ndarray]  # points -> labels, shape (n_points,)
MAX_WARD = 2_000  # its memory grows with the square
SEED = 7


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers at one cut, fitted 90 days before it."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    facts = {
        moment: facts_at(days, cut - pd.Timedelta(days=ago)) for moment, ago in MOMENTS.items()
    }
    predictions = Predictions()
    for moment, frame in facts.items():
        predictions.add("one_segment", {"customer_id": frame.index}, moment=moment, label="0")
    if len(facts["before"]) < max(count for _, count in METHODS.values()):
        return predictions
    scaler = StandardScaler().fit(_logs(facts["before"]))
    points = {moment: scaler.transform(_logs(frame)) for moment, frame in facts.items()}
    for name, (fit, count) in METHODS.items():
        with predictions.timed(name):
            assign = fit(points["before"], count, SEED)
            labels = {moment: assign(some) for moment, some in points.items()}
            again = _resampled(fit, count, points["before"])
        for moment, frame in facts.items():
            columns = again if moment == "before" else {}
            found = labels[moment].astype(str)
            ids = {"customer_id": frame.index}
            predictions.add(name, ids, moment=moment, label=found, **columns)
    return predictions


def _logs(facts: pd.DataFrame) -> np.ndarray:
    days, order_days, money = facts.to_numpy(dtype=float).T
    return np.column_stack([np.log1p(days), np.log(order_days), np.log1p(money)])


def _resampled(
    fit: Callable[[np.ndarray, int, int], Assign], count: int, points: np.ndarray
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(SEED)
    found = {}
    for number in range(COUNT_RESAMPLES):
        rows = random.integers(0, len(points), len(points))
        found[RESAMPLES[number]] = fit(points[rows], count, SEED + 1 + number)(points)
    return found


def _kmeans(points: np.ndarray, count: int, seed: int) -> Assign:
    return KMeans(count, n_init=10, random_state=seed).fit(points).predict


def _mixture(points: np.ndarray, count: int, seed: int) -> Assign:
    return GaussianMixture(count, n_init=3, random_state=seed).fit(points).predict


def _ward(points: np.ndarray, count: int, seed: int) -> Assign:
    some = points[np.random.default_rng(seed).permutation(len(points))[:MAX_WARD]]
    labels = AgglomerativeClustering(count, linkage="ward").fit_predict(some)
    centres = np.stack([some[labels == label].mean(axis=0) for label in range(count)])
    return lambda given: pairwise_distances_argmin(given, centres)


METHODS = {
    "kmeans_4": (_kmeans, 4),
    "kmeans_8": (_kmeans, 8),
    "mixture_4": (_mixture, 4),
    "ward_4": (_ward, 4),
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
