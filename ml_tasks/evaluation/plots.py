"""Small PNG plots for the registry. Equal numbers give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ml_tasks.evaluation.metrics import equal_count_bins


def reliability(is_event: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> bytes:
    """Reliability diagram: observed rate against predicted probability, one line per model.

    Args:
        is_event: Shape (n,), 0 or 1.
        probabilities: Model -> predicted probability, shape (n,); binned in ten equal counts.
    """
    figure, axes = _figure("predicted probability", "share it happened to")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, probability in probabilities.items():
        bins = equal_count_bins(probability)
        predicted = [probability[b].mean() for b in bins]
        observed = [is_event[b].mean() for b in bins]
        axes.plot(predicted, observed, marker="o", markersize=3, label=name)
    return _png(figure, axes)


def gain(amount: np.ndarray, scores: Mapping[str, np.ndarray]) -> bytes:
    """Gain curve: share of the total amount held by the first customers, one line per ranking.

    Args:
        amount: Actual amount of each customer, shape (n,).
        scores: Ranking -> score, shape (n,); higher ranks first.
    """
    figure, axes = _figure("share of customers, best first", "share of the total")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    customers = np.arange(len(amount) + 1) / max(len(amount), 1)
    for name, score in scores.items():
        best_first = np.argsort(-score, kind="stable")
        held = np.concatenate([[0], np.cumsum(amount[best_first])]) / max(amount.sum(), 1e-12)
        axes.plot(customers, held, linewidth=1.2, label=name)
    return _png(figure, axes)


def deciles(amount: np.ndarray, predicted_amount: np.ndarray) -> bytes:
    """Mean predicted and actual amount in ten groups of equal count, by rising prediction.

    Args:
        amount: Actual amounts, shape (n,).
        predicted_amount: Shape (n,).
    """
    figure, axes = _figure("tenth of customers, by rising prediction", "mean amount")
    bins = equal_count_bins(predicted_amount)
    places = np.arange(1, len(bins) + 1)
    axes.bar(places - 0.2, [predicted_amount[b].mean() for b in bins], 0.4, label="predicted")
    axes.bar(places + 0.2, [amount[b].mean() for b in bins], 0.4, label="actual")
    return _png(figure, axes)


def forecast(history: np.ndarray, actual: np.ndarray, quantiles: np.ndarray) -> bytes:
    """Past weeks, forecast and actual weeks of one series, in units.

    Args:
        history: Weeks before the forecast, shape (n_past_weeks,).
        actual: Weeks of the forecast, shape (n_weeks,).
        quantiles: Lower bound, median and upper bound of the forecast, shape (n_weeks, 3).
    """
    figure, axes = _figure("weeks from the forecast's first", "units")
    ahead = np.arange(len(actual))
    axes.plot(np.arange(-len(history), 0), history, color="0.5", linewidth=1, label="before")
    axes.fill_between(ahead, quantiles[:, 0], quantiles[:, 2], alpha=0.25, label="80 % band")
    axes.plot(ahead, quantiles[:, 1], linewidth=1.2, label="median")
    axes.plot(ahead, actual, color="black", marker="o", markersize=2, linewidth=0.8, label="came")
    return _png(figure, axes)


def coverage(rate_by_step: np.ndarray, promised: float) -> bytes:
    """Share of outcomes inside the band by weeks ahead, beside the nominal share.

    Args:
        rate_by_step: Share inside the band, shape (n_weeks,).
        promised: Nominal share, in [0, 1].
    """
    figure, axes = _figure("weeks ahead", "share inside the band")
    steps = np.arange(1, len(rate_by_step) + 1)
    axes.plot(steps, np.full(len(steps), promised), color="0.7", linewidth=1, label="promised")
    axes.plot(steps, rate_by_step, marker="o", markersize=3, label="came")
    axes.set_ylim(0, 1)
    return _png(figure, axes)


def residuals(misses: np.ndarray, label: str) -> bytes:
    """Histogram of errors; the lowest and highest hundredth are clipped.

    Args:
        misses: Errors, shape (n,).
        label: Label of the x axis.
    """
    figure, axes = _figure(label, "count")
    low, high = np.quantile(misses, [0.01, 0.99])
    axes.hist(misses.clip(low, high), bins=30, label=f"median {np.median(misses):.2f}")
    return _png(figure, axes)


def lines(x_label: str, y_label: str, series: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """One line per name.

    Args:
        x_label: Label of the x axis.
        y_label: Label of the y axis.
        series: Name -> x and y of its points, each of shape (n_points,).
    """
    figure, axes = _figure(x_label, y_label)
    for name, (x, y) in series.items():
        axes.plot(x, y, linewidth=1.2, label=name)
    return _png(figure, axes)


def _figure(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 3), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_ylabel(y_label, fontsize=8)
    axes.tick_params(labelsize=7)
    return figure, axes


def _png(figure: Figure, axes: Axes) -> bytes:
    axes.legend(fontsize=7, frameon=False)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
