"""Do the rules of the year before hold in the half year after?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from ml_tasks.baskets.model import PAIR, SEQUENCE, TRIPLE, learn
from ml_tasks.baskets.orders import Orders
from ml_tasks.baskets.sequences import Steps
from ml_tasks.baskets.significance import MEMBERS, adjusted, chance
from ml_tasks.baskets.together import frequent_pairs, least_orders
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.figures import Figure, rows

MODEL, PLAIN_LIFT = "rules", "plain_lift"
BASELINES = (PLAIN_LIFT,)
LEARNT_DAYS, TESTED_DAYS = 365, 182
STILL_SOLD_ORDERS = 10  # orders with an item in the half year after
REPLICATED = 0.05  # largest adjusted p-value of a rule that holds


def within(lines: pd.DataFrame, until: pd.Timestamp, days: int) -> pd.DataFrame:
    """Lines of the days before a date; column ordered_date."""
    day = lines["ordered_date"]
    return lines[(day < until) & (day >= until - pd.Timedelta(days=days))]


def plain_lift(lines: pd.DataFrame, count: int) -> pd.DataFrame:
    """The pairs with the highest lift as a user computes it, at the same support; no test.

    Args:
        lines: Columns of `Orders.of`.
        count: Number of pairs.

    Returns:
        Columns rule_kind, antecedent_ids, consequent_id.
    """
    orders = Orders.of(lines)
    found = frequent_pairs(orders, least_orders(orders))
    members = found[MEMBERS[:2]].to_numpy()
    lift = found["count_orders"] * orders.count / orders.item_counts[members].prod(axis=1)
    best = orders.items[members[np.argsort(-lift.to_numpy(), kind="stable")[:count]]]
    return pd.DataFrame(
        {"rule_kind": PAIR, "antecedent_ids": [[one[0]] for one in best]}
        | {"consequent_id": [one[1] for one in best]}
    )


def tested(rules: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Test rules on later lines: is each still sold, and more frequent than by chance again?

    Args:
        rules: Columns rule_kind, antecedent_ids, consequent_id; at least one row.
        lines: Columns of `Orders.of`.

    Returns:
        Columns rule_kind, is_sold (each item in STILL_SOLD_ORDERS orders), is_replicated; indexed
        as `rules`.
    """
    orders = Orders.of(lines)
    steps = Steps.of(orders)
    place = pd.Series(np.arange(len(orders.items)), index=orders.items)
    judge: dict[str, tuple[Callable, Callable]] = {
        PAIR: (orders.counts, orders.expected_pairs),
        TRIPLE: (orders.counts, orders.expected_triples),
        SEQUENCE: (steps.counts, steps.expected),
    }
    parts = [
        _tested(of_kind, place, orders.item_counts, *judge[str(kind)])
        for kind, of_kind in rules.groupby("rule_kind")
    ]
    found = rules[["rule_kind"]].join(pd.concat(parts))
    p = found["p"].to_numpy()
    is_sold = found["is_sold"].to_numpy(dtype=bool)
    replicated = np.zeros(len(found), dtype=bool)
    replicated[is_sold] = adjusted(p[is_sold], int(is_sold.sum())) <= REPLICATED
    return found.assign(is_replicated=replicated & (found["lift"] > 1))


def _tested(
    rules: pd.DataFrame, place: pd.Series, sold: np.ndarray, counts: Callable, expected: Callable
) -> pd.DataFrame:
    """Columns is_sold, p, lift of the rules of one kind."""
    named = pd.DataFrame(
        [
            [*ids, one]
            for ids, one in zip(rules["antecedent_ids"], rules["consequent_id"], strict=True)
        ]
    )
    members = place.reindex(named.to_numpy().ravel()).to_numpy().reshape(named.shape)
    is_known = ~np.isnan(members).any(axis=1)
    known = members[is_known].astype(int)
    found = pd.DataFrame({"is_sold": False, "p": 1.0, "lift": 0.0}, index=rules.index)
    orders, buyers = counts(known)
    by_chance = np.maximum(expected(known), 1e-12)
    found.loc[is_known, "is_sold"] = (sold[known] >= STILL_SOLD_ORDERS).all(axis=1)
    found.loc[is_known, "p"] = chance(orders, buyers, by_chance)
    found.loc[is_known, "lift"] = orders / by_chance
    return found


def evaluate(lines: pd.DataFrame, training_date: date) -> Evaluation:
    """Learn on the year up to half a year ago, and test on the half year since.

    Args:
        lines: Columns of `Orders.of`, items folded.
        training_date: The half year ends before this day.
    """
    end = pd.Timestamp(training_date)
    cut = end - pd.Timedelta(days=TESTED_DAYS)
    before, after = within(lines, cut, LEARNT_DAYS), within(lines, end, TESTED_DAYS)
    rules = learn(before)
    if rules.empty or after.empty:
        return untested(MODEL)
    figures: list[Figure] = []
    methods = {MODEL: rules, PLAIN_LIFT: plain_lift(before, len(rules))}
    for name, shown in methods.items():
        if len(shown):
            figures += rows(cut, name, figures_of(tested(shown, after)), len(shown))
    found = Evaluation(tuple(figures), MODEL)
    metrics = found.means(["replicated", "still_sold"], {MODEL: "", PLAIN_LIFT: "baseline_"})
    ours, theirs = (found.mean(name, "replicated") for name in (MODEL, PLAIN_LIFT))
    decision = f"of the rules still sold {ours:.3f} hold in the half year after, {theirs:.3f} of"
    return Evaluation(
        tuple(figures), MODEL, f"{decision} the pairs with the highest plain lift", metrics
    )


def figures_of(result: pd.DataFrame) -> dict[str, float]:
    """Shares of the rules that are still sold, and of these that hold; the latter by kind, too.

    Args:
        result: From `tested`.
    """
    sold = result[result["is_sold"]]
    by_kind = sold.groupby("rule_kind")["is_replicated"].mean()
    return {
        "replicated": float(sold["is_replicated"].mean()),
        "still_sold": float(result["is_sold"].mean()),
        **{f"replicated_{kind}": float(value) for kind, value in by_kind.items()},
    }
