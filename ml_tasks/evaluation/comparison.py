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

# A baseline says less (no season, no bounds), so its gain must be at least so much of the metric.
LEAST_GAIN = 0.01


@dataclass(frozen=True)
class Evaluation:
    """Figures of several models on past dates, and the model that they speak for.

    Attributes:
        figures: All figures, cut by cut.
        winner: Model or baseline to publish, by its name in `figures`.
        decision: Why, in a sentence.
        metrics: Means over the cuts, one number per metric; the baseline's begin with `baseline_`.
        gaps: Model -> a sentence for each group of customers that it serves unlike the others.
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
        """Dates that some model was tested on, in the order of the figures."""
        return list(dict.fromkeys(row.cut for row in self.figures))

    def rows(self, model: str, group: str = ALL) -> list[Figure]:
        """Figures of a model, for everybody or a group of customers."""
        return [row for row in self.figures if row.model == model and row.group == group]

    def of(self, model: str, metrics: Collection[str] | None = None) -> dict[str, dict[str, float]]:
        """Cut -> metric -> value of a model, for all customers or products; what was computed.

        Args:
            model: By its name in `figures`.
            metrics: Only these; None: all.
        """
        found: dict[str, dict[str, float]] = {}
        for row in self.rows(model):
            if row.value is not None and (metrics is None or row.metric in metrics):
                found.setdefault(row.cut, {})[row.metric] = row.value
        return found

    def values(self, model: str, metric: str) -> list[float]:
        """A metric of a model on each cut where it was computed, in the order of the figures."""
        return [cut[metric] for cut in self.of(model, [metric]).values()]

    def mean(self, model: str, metric: str) -> float:
        """Mean of a metric of a model over the cuts; NaN if no cut has it."""
        values = self.values(model, metric)
        return fmean(values) if values else math.nan

    def means(self, metrics: Iterable[str], prefixes: Mapping[str, str]) -> dict[str, float]:
        """Means over the cuts of several models; a metric that no cut has is left out.

        Args:
            metrics: Which.
            prefixes: Model -> what the names of its metrics begin with.
        """
        found = {
            f"{prefix}{metric}": self.mean(model, metric)
            for model, prefix in prefixes.items()
            for metric in metrics
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def best(self, models: Iterable[str], metric: str, better: str) -> str:
        """The model whose mean is best; the first of equals, and if no cut tested any of them.

        Args:
            models: Their names; empty gives an empty name.
            metric: Which metric.
            better: contest.LOWER or contest.HIGHER.
        """
        sign = 1 if better == contest.HIGHER else -1

        def rank(model: str) -> float:
            mean = sign * self.mean(model, metric)
            return -math.inf if math.isnan(mean) else mean

        return max(models, key=rank, default="")

    def column(self, model: str, metrics: Collection[str], name: str = "") -> Column:
        """Figures of a model as `contest` compares them.

        Args:
            model: By its name in `figures`.
            metrics: Which; a cut without any of them is left out.
            name: Shown to people; empty: the model's.
        """
        return Column(name or model, self.of(model, metrics))

    def is_clearly_better(self, model: str, than: str, metric: str, better: str) -> bool:
        """Whether a metric is better by more than its spread over the cuts, and by LEAST_GAIN.

        Args:
            model: The model that would take the other's place.
            than: The other.
            metric: Which metric.
            better: contest.LOWER or contest.HIGHER.
        """
        ours, theirs = (self.column(name, [metric]) for name in (model, than))
        return any(
            compared.says == contest.BETTER and compared.gain >= LEAST_GAIN
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
            model: What would be published.
            baselines: The simple methods.
            metric: It decides; see `is_clearly_better`.
            better: contest.LOWER or contest.HIGHER.
            metrics: Whose means become `metrics`, of the model and of the best baseline.
            shown: Metric -> how the decision shows it, with places for both means.
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
        """Figures of a model by group of customers, on the newest cut that has any."""
        found = [row for row in self.figures if row.model == model and row.group != ALL]
        newest = max((row.cut for row in found), default="")
        return [row for row in found if row.cut == newest]

    def as_report(self) -> dict[str, Any]:
        """The evaluation as entries of a training report, JSON.

        Returns:
            decision; used, the winner; warnings, its gaps; figures, a list [cut, model, group,
            metric, value, n] each.
        """
        return {
            "decision": self.decision,
            "used": self.winner,
            "warnings": list(self.gaps.get(self.winner, ())),
            FIGURES: [list(row) for row in self.figures],
        }

    @classmethod
    def from_report(cls, report: Mapping[str, Any], model_name: str) -> Evaluation:
        """The figures, the winner and the decision of a stored report.

        Args:
            report: Of a training by this version or an earlier one.
            model_name: As published; it counts where the report does not say `used`.
        """
        if old_reports.is_old(report):
            figures, winner = old_reports.read(report, model_name)
        else:
            figures = [Figure(*row) for row in report.get(FIGURES, [])]
            winner = report.get("used", model_name)
        return cls(tuple(figures), winner, report.get("decision", ""))


def untested(model: str) -> Evaluation:
    """The evaluation of a shop that has no past date to test a model on."""
    return Evaluation(winner=model, decision=f"no past date to test a model on, so {model}")
