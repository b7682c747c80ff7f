"""The result of an out-of-time evaluation, the same for every question."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ml_tasks.evaluation import contest, old_reports
from ml_tasks.evaluation.contest import Column
from ml_tasks.evaluation.figures import ALL, FIGURES, Figure

# A baseline is published only if it is better by at least this much of the metric, since it offers
# less than the model (no season, no bounds).
LEAST_GAIN = 0.01


@dataclass(frozen=True)
class Evaluation:
    """Figures of several models on past dates, and the model to publish.

    Attributes:
        figures: All figures, cut by cut.
        winner: Model or baseline to publish, by its name in `figures`.
        decision: The reason, in a sentence.
        metrics: Metric -> mean over the cuts; the baseline's metrics begin with `baseline_`.
        gaps: Model -> a sentence for each group of customers with a clearly different figure.
        plots: File name -> PNG of the newest cut.
    """

    figures: tuple[Figure, ...] = ()
    winner: str = ""
    decision: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    gaps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    plots: dict[str, bytes] = field(default_factory=dict)

    @property
    def cuts(self) -> list[str]:
        """Dates on which some model was tested, in the order of the figures."""
        return list(dict.fromkeys(row.cut for row in self.figures))

    def rows(self, model: str, group: str = ALL) -> list[Figure]:
        """Figures of a model, for all customers or a group of them."""
        return [row for row in self.figures if row.model == model and row.group == group]

    def of(self, model: str, metrics: Collection[str] | None = None) -> dict[str, dict[str, float]]:
        """Cut -> metric -> value of a model, for all customers or products; no missing values.

        Args:
            model: Name of the model in `figures`.
            metrics: The metrics to return; None returns all.
        """
        values: dict[str, dict[str, float]] = {}
        for row in self.rows(model):
            if row.value is not None and (metrics is None or row.metric in metrics):
                values.setdefault(row.cut, {})[row.metric] = row.value
        return values

    def values(self, model: str, metric: str) -> list[float]:
        """Values of a model's metric on the cuts that have it, in the order of the figures."""
        return [cut[metric] for cut in self.of(model, [metric]).values()]

    def mean(self, model: str, metric: str) -> float:
        """Mean of a model's metric over the cuts; NaN if no cut has it."""
        values = self.values(model, metric)
        return fmean(values) if values else math.nan

    def means(self, metrics: Iterable[str], prefixes: Mapping[str, str]) -> dict[str, float]:
        """Means over the cuts of several models. A metric that no cut has is left out.

        Args:
            metrics: Names of the metrics.
            prefixes: Model -> prefix of its metrics in the result.
        """
        means = {
            f"{prefix}{metric}": self.mean(model, metric)
            for model, prefix in prefixes.items()
            for metric in metrics
        }
        return {name: value for name, value in means.items() if math.isfinite(value)}

    def best(self, models: Iterable[str], metric: str, better: str) -> str:
        """Name of the model with the best mean; the first if means are equal or all are missing.

        Args:
            models: Names of the models. Without any, the result is empty.
            metric: Name of the metric.
            better: contest.LOWER or contest.HIGHER.
        """
        sign = 1 if better == contest.HIGHER else -1

        def rank(model: str) -> float:
            mean = sign * self.mean(model, metric)
            return -math.inf if math.isnan(mean) else mean

        return max(models, key=rank, default="")

    def column(self, model: str, metrics: Collection[str], name: str = "") -> Column:
        """A model's figures in the form that `contest` compares.

        Args:
            model: Name of the model in `figures`.
            metrics: Names of the metrics. A cut without any of them is left out.
            name: Name to display; empty for the model's own.
        """
        return Column(name or model, self.of(model, metrics))

    def is_clearly_better(self, model: str, than: str, metric: str, better: str) -> bool:
        """Whether a metric is better by more than its spread over the cuts, and by LEAST_GAIN.

        Args:
            model: The model that would replace the other.
            than: The other model.
            metric: Name of the metric.
            better: contest.LOWER or contest.HIGHER.
        """
        ours, theirs = (self.column(name, [metric]) for name in (model, than))
        return any(
            compared.verdict == contest.BETTER and compared.gain >= LEAST_GAIN
            for compared in contest.compare(theirs, ours, {metric: better})
        )

    def decided(
        self,
        model: str,
        baselines: Iterable[str],
        metric: str,
        better: str,
        metrics: Iterable[str],
        shown: Mapping[str, str],
    ) -> Evaluation:
        """The evaluation with a winner: the model, unless the best baseline is clearly better.

        Args:
            model: Model that would be published.
            baselines: Names of the baselines.
            metric: Metric that decides, see `is_clearly_better`.
            better: contest.LOWER or contest.HIGHER.
            metrics: Metrics of the model and the best baseline to average over the cuts.
            shown: Metric -> text for the decision, a format string that takes both means.
        """
        baseline = self.best(baselines, metric, better)
        gives_way = self.is_clearly_better(baseline, model, metric, better)
        means = (
            text.format(self.mean(model, name), self.mean(baseline, name))
            for name, text in shown.items()
        )
        return replace(
            self,
            winner=baseline if gives_way else model,
            decision=f"{model} {'gives way to' if gives_way else 'against'} {baseline}, the best of"
            f" the simpler ones: {', '.join(means)}",
            metrics=self.means(metrics, {model: "", baseline: "baseline_"}),
        )

    def of_groups(self, model: str) -> list[Figure]:
        """A model's figures by group of customers, on the newest cut that has such figures."""
        figures = [row for row in self.figures if row.model == model and row.group != ALL]
        newest = max((row.cut for row in figures), default="")
        return [row for row in figures if row.cut == newest]

    def as_report(self) -> dict[str, Any]:
        """The evaluation as entries of a training report, JSON.

        Returns:
            `decision`; `used` (the winner); `warnings` (the winner's gaps); `figures` (a list of
            rows [cut, model, group, metric, value, n]).
        """
        return {
            "decision": self.decision,
            "used": self.winner,
            "warnings": list(self.gaps.get(self.winner, ())),
            FIGURES: [list(row) for row in self.figures],
        }

    @classmethod
    def from_report(cls, report: Mapping[str, Any], model_name: str) -> Evaluation:
        """Figures, winner and decision of a stored report.

        Args:
            report: Training report of this version or an earlier one.
            model_name: Published name of the model; the winner of a report without `used`.
        """
        if old_reports.is_old(report):
            figures, winner = old_reports.read(report, model_name)
        else:
            figures = [Figure(*row) for row in report.get(FIGURES, [])]
            winner = report.get("used", model_name)
        return cls(tuple(figures), winner, report.get("decision", ""))


def untested(model: str) -> Evaluation:
    """The evaluation of a shop without a past date to test a model on."""
    return Evaluation(winner=model, decision=f"no past date to test a model on, so {model}")
