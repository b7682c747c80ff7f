"""Recommendations beside popularity, counts, neighbours and factorisations: `ONLY=recommendations`.

The lists are those that would be published: the model of the first of the month, and what was known
before the cut. Online Retail II is prepared as its staging does it: sales of products to customers.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.judge import recommendations as judge
from benchmarks.judge.recommendations import Lists, Truth
from benchmarks.lines import names_of, shops
from benchmarks.peers.recommendations import PEERS, Orders, bpr
from benchmarks.results import keep_part
from benchmarks.tables import OURS, number
from ml_tasks.models.serving import SEED
from ml_tasks.recommendations import lists, purchases, rules, run
from ml_tasks.recommendations.popularity import popularity
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.today import today
from ml_tasks.trained_model import training_date_of

# Every choice was made at 2011-03-10 or before it.
CUTS = {
    "online_retail": ("2011-06-10", "2011-09-10"),
    "complete_journey": ("2017-10-01",),
    "planted": ("2021-10-01",),
}
COMPARED = ("recall", "new_recall")
FIGURES = {
    "recall@20": "recall",
    "nDCG@20": "ndcg",
    "coverage": "coverage",
    "new: recall@20": "new_recall",
    "new: nDCG@20": "new_ndcg",
    "new: hit rate": "new_hit",
    "new: coverage": "new_coverage",
}
HEADINGS = ("shop", "cut", "model", *FIGURES, "ours is", "CPU seconds")
TITLE = (
    "Lists of 20 products against the orders of the next 90 days: of all products, and of those"
    " that the customer never ordered. Ours is better, a tie or worse in recall beside a peer (all"
    " / new) by a paired bootstrap over customers at 5 %, Bonferroni"
)

console = Console()


def ours(lines: pd.DataFrame, cut: pd.Timestamp) -> tuple[Lists, Lists, str]:
    """The published lists: all (both together, by score), and new; and the model's name."""
    trained_on = training_date_of(cut.date())
    known = lines[lines["ordered_date"] < cut]
    learnt = known[known["ordered_date"] < pd.Timestamp(trained_on)]
    names = names_of(known)
    frame = learnt.rename(columns={"customer_id": "buyer_number"})
    model = run.fit(frame, frame, names, trained_on, SEED)
    numbered = Lines.of(known)
    day = int(np.datetime64(cut.date(), "D").astype(int))
    found = popularity(numbered, day)
    products = names.assign(
        product_family=None,
        is_discontinued=False,
        returned_share_365d=0.0,
        count_customers_28d=found.recent,
        count_customers_28d_before=found.earlier,
        count_customers_90d=found.quarter,
        count_customers_season_last_year=found.season,
        count_customers_365d=found.year,
        count_repeat_customers_365d=found.repeated,
        count_active_customers_28d=found.active,
        days_since_first_sale=found.age_days,
    )
    of_date = today(products, model, rules.load())
    pairs = purchases.before(numbered, day)
    rows = lists.rows(numbered.customers.astype(object), pairs, of_date)
    rows = rows[rows["score_status"] == "scored"]
    new = rows[rows["list_kind"] == lists.NEW]
    both = rows.explode(["product_ids", "product_scores"])
    both = both.sort_values(
        ["customer_id", "product_scores", "product_ids"], ascending=[True, False, True]
    )
    return (
        both.groupby("customer_id")["product_ids"]
        .agg(lambda ids: list(ids)[: judge.LENGTH])
        .to_dict(),
        dict(zip(new["customer_id"], new["product_ids"], strict=True)),
        model.name,
    )


def theirs(name: str, orders: Orders, truth: Truth) -> tuple[Lists, Lists]:
    """A peer's lists of the judged customers: of all candidates, and of new ones."""
    is_candidate = np.array([one in truth.candidates for one in orders.products])
    method = bpr if name == "bpr" else PEERS[name]
    every, new, place = {}, {}, pd.Index(orders.products)
    for first, scores in method(orders):
        for row, customer in enumerate(orders.customers[first : first + len(scores)]):
            if customer not in truth.ordered:
                continue
            score = np.where(is_candidate, scores[row], -np.inf)
            every[customer] = orders.products[np.argsort(-score, kind="stable")[: judge.LENGTH]]
            score[place.get_indexer(list(truth.bought[customer]))] = -np.inf
            new[customer] = orders.products[np.argsort(-score, kind="stable")[: judge.LENGTH]]
    return _as_lists(every), _as_lists(new)


def _as_lists(found: dict[str, np.ndarray]) -> Lists:
    return {customer: list(ids) for customer, ids in found.items()}


def compare(lines: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Figures of ours and of each peer at one cut, with verdicts beside each peer."""
    truth = judge.truth(lines, cut)
    started = time.process_time()
    every, new, name = ours(lines, cut)
    rows = {OURS: _judged(every, new, truth) | {"seconds": time.process_time() - started}}
    rows[OURS]["model"] = name
    orders = Orders.of(lines, cut)
    for peer in [*PEERS, "bpr"]:
        started = time.process_time()
        try:
            found = theirs(peer, orders, truth)
            rows[peer] = _judged(*found, truth) | {"seconds": time.process_time() - started}
        except ImportError:
            console.print("  bpr: the library implicit is not installed, skipped")
    tests = len(COMPARED) * (len(rows) - 1)
    for peer, figures in rows.items():
        if peer != OURS:
            for figure in COMPARED:
                pair = (rows[OURS][f"{figure}_each"], figures[f"{figure}_each"])
                figures[f"{figure}_verdict"] = judge.verdict(*pair, tests)
    console.print(f"  {len(truth.ordered)} customers, {len(truth.new)} with new products;"
                  f" {len(truth.candidates)} candidates; {name}")  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def _judged(every: Lists, new: Lists, truth: Truth) -> dict[str, object]:
    found: dict[str, object] = {}
    for prefix, some, ordered in (("", every, truth.ordered), ("new_", new, truth.new)):
        each = judge.judged(some, ordered, truth.candidates)
        found |= {f"{prefix}{one}": each[one].mean() for one in ("recall", "ndcg", "hit")}
        found |= {
            f"{prefix}coverage": each.attrs["coverage"],
            f"{prefix}recall_each": each["recall"],
        }
    return found


def main(names: list[str]) -> None:
    """Compare on every shop and cut, print and store the table."""
    table = Table(*HEADINGS, title=TITLE)
    for shop, lines in shops(names):
        for cut in CUTS[shop]:
            console.rule(f"{shop} {cut}")
            for model, one in compare(lines, pd.Timestamp(cut)).iterrows():
                beside = " / ".join(str(one[f"{name}_verdict"]) for name in COMPARED)
                shown = f"{model} ({one['model']})" if model == OURS else str(model)
                cells = [number(one[name], 4) for name in FIGURES.values()]
                words = "" if model == OURS else beside
                table.add_row(shop, cut, shown, *cells, words, number(one["seconds"], 1))
    console.print(table)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"peak memory {peak_mb} MB")
    keep_part("recommendations", "Recommendations", table)


if __name__ == "__main__":
    main(sys.argv[1:] or list(CUTS))
