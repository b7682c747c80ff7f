"""Evaluate the next order out of time: each part beside its baselines, on past dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.cuts import cuts, known_by
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.next_order import amount, families, figures, shop_time, wait
from ml_tasks.next_order.fitted import Methods
from ml_tasks.next_order.inputs import buyers

MODEL = "best_of_each_part"
MIN_BUYERS = 50  # past rows with a next order that each part learns from
# Part -> its trees, its baselines, the figure that decides, which is better.
PARTS = {
    "wait": (wait.TREES, wait.BASELINES, "log_days_error", LOWER),
    "amount": (amount.TREES, amount.BASELINES, "log_amount_error", LOWER),
    "families": (families.TREES, families.BASELINES, "precision_at_3", HIGHER),
}
BASELINES = tuple(name for _, names, _, _ in PARTS.values() for name in names)
REPORTED = (
    "log_days_error", "days_error", "date_coverage",
    "log_amount_error", "amount_coverage", "total_error", "precision_at_3",
)  # fmt: skip


def is_learnable(past: pd.DataFrame) -> bool:
    """Whether enough orders followed to learn from."""
    return len(buyers(past)) >= MIN_BUYERS


def evaluate(past: pd.DataFrame, shop_days: pd.DataFrame, seed: int) -> tuple[Evaluation, Methods]:
    """Compare each part's trees with its baselines on the newest cuts.

    Args:
        past: See `inputs.past_facts`.
        shop_days: Columns of features.shop_days.
        seed: Random seed of the trees.

    Returns:
        The evaluation, whose figures of MODEL are those of the published methods; and the methods:
        a part's trees, unless a baseline is clearly better.
    """
    found: list[Figure] = []
    for cut in cuts(past, HORIZON_DAYS):
        known, test = known_by(past, cut, HORIZON_DAYS), past[past["as_of_date"] == cut]
        if is_learnable(known) and len(buyers(test)):
            for name, values in _of_cut(known, test, shop_days, seed).items():
                found += rows(cut, name, values, len(buyers(test)))
    if not found:
        return untested(MODEL), Methods()
    return decide(Evaluation(tuple(found)))


def decide(tested: Evaluation) -> tuple[Evaluation, Methods]:
    """Choose each part's method; the figures of the chosen ones become those of MODEL."""
    chosen, sentences = {}, []
    for part, (trees, baselines, metric, better) in PARTS.items():
        if not tested.values(trees, metric):
            chosen[part] = trees
            sentences.append(f"no past date to test {trees} on")
            continue
        shown = {metric: metric + " {:.3f} and {:.3f}"}
        of_part = tested.decided(trees, baselines, metric, better, (), shown)
        chosen[part] = of_part.winner
        sentences.append(of_part.decision)
    published = tuple(
        row._replace(model=MODEL) for row in tested.figures if row.model in chosen.values()
    )
    tested = replace(tested, figures=published + tested.figures)
    decided = replace(
        tested,
        winner=MODEL,
        decision="; ".join(sentences),
        metrics=tested.means(REPORTED, {MODEL: ""}),
    )
    return decided, Methods(**chosen)


def _of_cut(
    known: pd.DataFrame, test: pd.DataFrame, shop_days: pd.DataFrame, seed: int
) -> Mapping[str, Mapping[str, float]]:
    """Method -> figures on one cut."""
    day, ordered = pd.Timestamp(test["as_of_date"].iloc[0]), buyers(test)
    time = shop_time.fit(test, shop_days[shop_days["day_date"] < day])
    days = ordered["days_to_order"].to_numpy(dtype=float)
    actual = ordered["order_day_amount"].to_numpy(dtype=float)
    found: dict[str, Mapping[str, float]] = {}
    for name in (wait.TREES, *wait.BASELINES):
        # predicted for the whole date, whose oldest customer the features read
        predicted = wait.fit(name, known, time, seed).predict(test, day).loc[ordered.index]
        found[name] = figures.of_wait(days, predicted)
    for name in (amount.TREES, *amount.BASELINES):
        predicted = amount.fit(name, known, day, seed).predict(ordered)
        found[name] = figures.of_amount(actual, predicted)
    for name in (families.TREES, *families.BASELINES):
        found[name] = _of_families(name, known, test, seed)
    return found


def _of_families(
    name: str, known: pd.DataFrame, test: pd.DataFrame, seed: int
) -> Mapping[str, float]:
    """Precision of three families, over the baskets that have any."""
    fitted = families.fit(name, known, test, seed)
    ordered = buyers(test)
    ordered = ordered[ordered["next_families"].str.len() > 0]
    if fitted is None or ordered.empty:
        return {}
    happened = families.is_in(ordered["next_families"], fitted.shop.families)
    return {"precision_at_3": float(families.precision(fitted.chances(ordered), happened).mean())}
