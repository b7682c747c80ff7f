"""Rules of baskets beside those of plain lift and Fisher's test: `ONLY=baskets`.

Rules are learnt on the year before a cut and judged on the half year after it. The last column
counts the rules that each method finds in orders whose products were dealt anew.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.judge import baskets as judge
from benchmarks.lines import names_of, shops
from benchmarks.peers.baskets import PEERS
from benchmarks.results import keep_part
from benchmarks.tables import OURS, number
from ml_tasks.baskets import model
from ml_tasks.baskets.evaluate import LEARNT_DAYS, TESTED_DAYS, within
from ml_tasks.recommendations.related import MAX_ORDER_PRODUCTS

# The settings of the rules were chosen on these cuts.
CUTS = {
    "online_retail": ("2010-12-10", "2011-03-12", "2011-06-11"),
    "complete_journey": ("2017-07-04",),
}
FIGURES = {
    "rules": "count_rules",
    "still sold": "still_sold",
    "of these hold": "holds",
    "pairs": "holds_pair",
    "triples": "holds_triple",
    "sequences": "holds_sequence",
}
HEADINGS = ("shop", "cut", "model", *FIGURES, "rules of dealt orders", "CPU seconds")
TITLE = (
    "Rules of a year judged on the half year after: the share whose products are still sold, and of"
    " these the share that goes together more often than in 199 deals of a month's products"
    " (p of .05, Benjamini and Hochberg). Plain lift and Fisher's test show as many pairs as we"
    " show rules"
)

console = Console()


def compare(lines: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Figures of ours and of each peer at one cut."""
    before = within(lines, cut, LEARNT_DAYS)
    after = within(lines, cut + pd.Timedelta(days=TESTED_DAYS), TESTED_DAYS)
    dealt = judge.dealt(before, np.random.default_rng(1))
    dealt = dealt.drop_duplicates(["order_number", "product_id"])
    rows: dict[str, dict[str, float]] = {}
    count = 0
    for name in (OURS, *PEERS):
        started = time.process_time()
        try:
            rules = model.learn(before) if name == OURS else PEERS[name](before, count)
        except ImportError:
            console.print(f"  {name}: its library is not installed, skipped")
            continue
        seconds = time.process_time() - started
        count = count or len(rules)
        found = model.learn(dealt) if name == OURS else PEERS[name](dealt, count)
        rows[name] = judge.figures(judge.judged(rules, after)) | {
            "of_dealt": float(len(found)),
            "seconds": seconds,
        }
        console.print(f"  {name}: {rows[name]}")
    return pd.DataFrame.from_dict(rows, orient="index")


def main(names: list[str]) -> None:
    """Compare on every shop and cut, print and store the table."""
    table = Table(*HEADINGS, title=TITLE)
    for shop, every in shops(names):
        lines = every.assign(buyer_number=every["customer_id"])
        size = lines.groupby("order_number")["product_id"].transform("nunique")
        lines = lines[size <= MAX_ORDER_PRODUCTS]  # as for the rules that are published
        lines, _ = model.folded(lines, names_of(lines))
        lines = lines.drop_duplicates(["order_number", "product_id"])
        for cut in CUTS[shop]:
            console.rule(f"{shop} {cut}")
            for name, one in compare(lines, pd.Timestamp(cut)).iterrows():
                cells = [number(one.get(figure), 3) for figure in FIGURES.values()]
                cells[0] = number(one["count_rules"], 0)
                ends = (number(one["of_dealt"], 0), number(one["seconds"], 1))
                table.add_row(shop, cut, str(name), *cells, *ends)
    console.print(table)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"peak memory {peak_mb} MB")
    keep_part("baskets", "Baskets", table)


if __name__ == "__main__":
    main(sys.argv[1:] or list(CUTS))
