"""Evaluate out of time: lists of past days against what customers ordered in 90 days."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from scipy import sparse

from ml_tasks.customers.boosting import booster_of
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.recommendations import contenders, figures, reranker
from ml_tasks.recommendations.candidates import Candidates
from ml_tasks.recommendations.contenders import (
    BASELINES,
    NEIGHBOURS,
    OWN_AND_LINKS,
    PLAIN,
    RERANKED,
)
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.state import (
    Outcome,
    State,
    outcome,
    state_at,
    with_neighbours,
)

Score = Callable[[Candidates], np.ndarray]
Examples = tuple[np.ndarray, np.ndarray, np.ndarray]  # see reranker.examples
STEP_DAYS, QUARTER = 30, 3  # past days lie steps apart; an outcome is known a quarter later
CUTS = (2 * QUARTER, QUARTER)  # steps before the training date, the oldest first
CHOICE = CUTS[0] + QUARTER
# Days that trees learn from, in steps before the day that they are for. Those of the test learn
# from half as many, which saves time: the published trees have more to learn from.
LEARNT, LEARNT_IN_TEST = (3, 4, 5, 6), (3, 6)
MIN_CUSTOMERS = 50  # with an order in a quarter, for it to be learnt from or judged
PENALTIES = (100.0, 300.0, 1000.0)  # of EASE; one is chosen, see `choose_penalty`
DECIDES = "mean_ndcg"
PREDICTED, ACTUAL = "predicted_products", "actual_products"  # of models that give probabilities
TIE = 0.01  # a simpler model is published unless another's figure is higher by this share
REPORTED = (
    *("recall", "ndcg", "new_recall", "new_ndcg", "mean_ndcg"),
    *("coverage", "new_coverage", "novelty", "popularity_bias"),
)


@dataclass
class Past:
    """Past days of a shop: what was known on each, and what came.

    Attributes:
        lines: Lines of customers.
        alike: Similarity of the products' names, see `names.similar`.
        today: The training date, days since 1970.
        seed: Of samples and fits.
        penalty: Of EASE.
    """

    lines: Lines
    alike: sparse.csr_matrix
    today: int
    seed: int
    penalty: float = PENALTIES[1]

    def __post_init__(self) -> None:
        self._examples: dict[int, Examples | None] = {}
        self._last: tuple[Any, Any] = None, None

    def day(self, steps: int) -> int:
        """So many steps before the training date."""
        return self.today - steps * STEP_DAYS

    def state(self, steps: int) -> State:
        """What was known then."""
        key = steps, self.penalty
        if self._last[0] != key:  # one at a time: a state of a large shop is large
            self._last = key, state_at(self.lines, self.day(steps), self.penalty, self.alike)
        return self._last[1]

    def outcome(self, steps: int) -> Outcome:
        """What was ordered in the 90 days that began then."""
        return outcome(self.lines, self.day(steps), seed=self.seed)

    def examples(self, steps: int) -> Examples | None:
        """Examples to learn from; None if too few customers ordered."""
        if steps not in self._examples:
            after = self.outcome(steps)
            enough = len(after.rows) >= MIN_CUSTOMERS
            learnt = reranker.examples(self.state(steps), after, self.seed) if enough else None
            self._examples[steps] = learnt
        return self._examples[steps]

    def trees(self, steps: int, learnt: Collection[int] = LEARNT) -> bytes | None:
        """Trees as they would have been trained then; None if there was nothing to learn from."""
        found = [self.examples(steps + before) for before in learnt]
        known = [one for one in found if one is not None and one[1].any()]
        return reranker.fit(known, self.seed) if known else None


def choose_penalty(past: Past) -> float:
    """The penalty whose links find most new products before the cuts; ties: the largest.

    Its outcome is over when the oldest cut begins, so that the cuts judge what was chosen earlier.
    """
    after = past.outcome(CHOICE)
    if len(after.rows) < MIN_CUSTOMERS:
        return past.penalty
    found = {}
    for penalty in PENALTIES:
        state = state_at(past.lines, past.day(CHOICE), penalty, past.alike)
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
    for steps in CUTS:
        after = past.outcome(steps)
        if len(after.rows) < MIN_CUSTOMERS:
            continue
        state, scores = past.state(steps), dict(PLAIN)
        trees = past.trees(steps, LEARNT_IN_TEST)
        if trees:
            scores[RERANKED] = score_of(trees)
        values = judged(state, after, scores)
        values |= judged(with_neighbours(state), after, {NEIGHBOURS: contenders.links})
        if trees:
            values[RERANKED] |= _level(trees, past.examples(steps))
        cut = date(1970, 1, 1) + timedelta(days=past.day(steps))
        for name, one in values.items():
            found += rows(cut, name, one, len(after.rows))
    return _decided(Evaluation(tuple(found))) if found else untested(OWN_AND_LINKS)


def _level(trees: bytes, seen: Examples | None) -> dict[str, float]:
    """Candidates that the trees expect to be ordered on a cut, and those that were."""
    if seen is None:
        return {}
    columns, is_ordered, weight = seen
    predicted = reranker.probability(booster_of(trees), columns)
    return {
        PREDICTED: float(np.sum(predicted * weight, dtype=np.float64)),
        ACTUAL: float(np.sum(is_ordered, dtype=np.float64)),
    }


def score_of(trees: bytes) -> Score:
    """The score of stored trees."""
    booster = booster_of(trees)
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
    found = {}
    for name, lists in parts.items():
        every, of_new = (_joined([one[kind] for one in lists]) for kind in (0, 1))
        found[name] = _figures(every, of_new, state, after)
    return found


def _joined(parts: list[figures.Lists]) -> figures.Lists:
    columns = ([getattr(one, name) for one in parts] for name in ("row", "product", "place"))
    return figures.Lists(*(np.concatenate(one) for one in columns))


def _figures(
    every: figures.Lists, of_new: figures.Lists, state: State, after: Outcome
) -> dict[str, float]:
    is_sold = state.popular.is_sold
    share = state.popular.year / max(int((np.diff(state.pairs.starts) > 0).sum()), 1)
    both = figures.of_lists(every, after.row, after.product)
    new = figures.of_lists(of_new, after.row[after.is_new], after.product[after.is_new])
    means = {name: float(values.mean()) for name, values in both.items()}
    means |= {
        f"new_{name}": float(values.mean()) if len(values) else 0.0 for name, values in new.items()
    }
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
