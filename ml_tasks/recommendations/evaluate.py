"""Evaluate out of time: lists of past days against what customers ordered in 90 days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.recommendations import contenders, figures, reranker
from ml_tasks.recommendations.candidates import Candidates
from ml_tasks.recommendations.contenders import BASELINES, NEIGHBOURS, OWN_AND_LINKS, PLAIN, RERANKED
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.state import (
    HORIZON_DAYS,
    Outcome,
    State,
    outcome,
    state_at,
    with_neighbours,
)

Score = Callable[[Candidates], np.ndarray]
COUNT_CUTS, COUNT_LEARNT = 2, 2  # a quarter apart: cuts to test on, and days to learn from
MIN_CUSTOMERS = 50  # with an order in a quarter, for it to be learnt from or judged
PENALTIES = (100.0, 300.0, 1000.0)  # of EASE; the best at the oldest cut
DECIDES = "mean_ndcg"
TIE = 0.01  # a simpler model is published unless another's figure is higher by this share
REPORTED = (
    *("recall", "ndcg", "new_recall", "new_ndcg", "mean_ndcg"),
    *("coverage", "new_coverage", "novelty", "popularity_bias"),
)


@dataclass
class Past:
    """Past days of a shop: states and outcomes, each computed once.

    Attributes:
        lines: Lines of customers.
        names: Name of each product of the lines.
        today: The training date, days since 1970.
        seed: Of samples and fits.
        penalty: Of EASE.
    """

    lines: Lines
    names: pd.Series
    today: int
    seed: int
    penalty: float = PENALTIES[1]

    def __post_init__(self) -> None:
        self._examples: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray] | None] = {}

    def day(self, quarters: int) -> int:
        """So many quarters before the training date."""
        return self.today - quarters * HORIZON_DAYS

    def state(self, quarters: int) -> State:
        """What was known then."""
        return state_at(self.lines, self.day(quarters), self.penalty, self.names)

    def outcome(self, quarters: int) -> Outcome:
        """What was ordered in the quarter that began then."""
        return outcome(self.lines, self.day(quarters), seed=self.seed)

    def examples(self, quarters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Examples to learn from; None if too few customers ordered."""
        if quarters not in self._examples:
            after = self.outcome(quarters)
            enough = len(after.rows) >= MIN_CUSTOMERS
            learnt = reranker.examples(self.state(quarters), after, self.seed) if enough else None
            self._examples[quarters] = learnt
        return self._examples[quarters]

    def trees(self, quarters: int) -> bytes | None:
        """Trees as they would have been trained then; None if there was nothing to learn from."""
        learnt = [self.examples(quarters + 1 + more) for more in range(COUNT_LEARNT)]
        known = [one for one in learnt if one is not None and one[1].any()]
        return reranker.fit(known, self.seed) if known else None


def choose_penalty(past: Past) -> float:
    """The penalty whose links find most new products at the oldest cut; ties: the largest."""
    after = past.outcome(COUNT_CUTS)
    if len(after.rows) < MIN_CUSTOMERS:
        return past.penalty
    found = {}
    for penalty in PENALTIES:
        state = state_at(past.lines, past.day(COUNT_CUTS), penalty, past.names)
        values = judged(state, after, {contenders.LINKS: contenders.links})
        found[penalty] = values[contenders.LINKS]["new_ndcg"]
    return max(found, key=lambda one: (found[one], one))


def evaluate(past: Past) -> Evaluation:
    """Compare all contenders on the newest cuts.

    Returns:
        The winner is the plainest model whose nDCG, the mean of all and of new products, is within
        TIE of the best.
    """
    found: list[Figure] = []
    for quarters in range(COUNT_CUTS, 0, -1):
        after = past.outcome(quarters)
        if len(after.rows) < MIN_CUSTOMERS or not len(past.lines.between(0, past.day(quarters)).day):
            continue
        state, scores = past.state(quarters), dict(PLAIN)
        trees = past.trees(quarters)
        if trees:
            scores[RERANKED] = score_of(trees)
        values = judged(state, after, scores)
        values |= judged(with_neighbours(state), after, {NEIGHBOURS: contenders.links})
        cut = date(1970, 1, 1) + timedelta(days=past.day(quarters))
        for name, one in values.items():
            found += rows(cut, name, one, len(after.rows))
    return _decided(Evaluation(tuple(found))) if found else untested(OWN_AND_LINKS)


def score_of(trees: bytes) -> Score:
    """The score of stored trees."""
    booster = reranker.restored(trees)
    return lambda some: reranker.probability(booster, some.columns)


def judged(state: State, after: Outcome, scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Figures of each model on one cut.

    Args:
        state: What was known.
        after: What was ordered then.
        scores: Model -> its score of candidates.

    Returns:
        Model -> recall, ndcg, hit_rate of 20 products of all; the same with `new_` of new products
        only, over customers who ordered any; coverage, novelty and popularity_bias.
    """
    parts: dict[str, list[tuple[figures.Lists, figures.Lists]]] = {name: [] for name in scores}
    for block in state.candidates(after.rows):
        row = block.first + block.row
        for name, score in scores.items():
            value, new = score(block), ~block.is_own
            every = figures.ranked(row, block.product, value)
            of_new = figures.ranked(row[new], block.product[new], value[new])
            parts[name].append((every, of_new))
    return {
        name: _figures(*map(_joined, zip(*lists, strict=True)), state, after)
        for name, lists in parts.items()
    }


def _joined(parts: tuple[figures.Lists, ...]) -> figures.Lists:
    columns = ([getattr(one, name) for one in parts] for name in ("row", "product", "place"))
    return figures.Lists(*(np.concatenate(one) for one in columns))


def _figures(
    every: figures.Lists, of_new: figures.Lists, state: State, after: Outcome
) -> dict[str, float]:
    is_sold, share = state.popular.is_sold, state.popular.year / max(len(state.pairs.starts) - 1, 1)
    both = figures.of_lists(every, after.row, after.product)
    new = figures.of_lists(of_new, after.row[after.is_new], after.product[after.is_new])
    means = {name: float(values.mean()) for name, values in both.items()}
    means |= {f"new_{name}": float(values.mean()) if len(values) else 0.0 for name, values in new.items()}
    return {
        **means,
        DECIDES: (means["ndcg"] + means["new_ndcg"]) / 2,
        "coverage": figures.coverage(every, is_sold),
        "new_coverage": figures.coverage(of_new, is_sold),
        "novelty": figures.novelty(of_new, share),
        "popularity_bias": figures.popularity_bias(of_new, share),
    }


def _decided(found: Evaluation) -> Evaluation:
    cuts = len(found.cuts)
    full = [n for n in (*BASELINES, RERANKED) if len(found.values(n, DECIDES)) == cuts]
    best = max(found.mean(name, DECIDES) for name in full)
    shipped = [name for name in full if name != NEIGHBOURS]
    winner = next((n for n in shipped if found.mean(n, DECIDES) >= best * (1 - TIE)), "")
    winner = winner or max(shipped, key=lambda name: found.mean(name, DECIDES))
    others = [name for name in BASELINES if name != winner]
    second = found.best(others, DECIDES, "higher")
    means = ", ".join(
        f"{name} {found.mean(winner, name):.3f} against {found.mean(second, name):.3f}"
        for name in ("ndcg", "new_ndcg", "new_coverage")
    )
    return Evaluation(
        found.figures,
        winner,
        f"{winner} against {second}, the best of the other plain ones: {means}",
        found.means(REPORTED, {winner: "", second: "baseline_"}),
    )
