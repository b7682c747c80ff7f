"""The judge of baskets: rules of planted orders hold, rules of independent ones do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.judge import baskets as judge

PRODUCTS = np.array(list("abcdefghij"))


def planted(seed: int = 3, count_orders: int = 900) -> pd.DataFrame:
    """Three of ten products an order; b comes with a in one order, d after c in the next one."""
    random = np.random.default_rng(seed)
    lines = []
    was_c: set[int] = set()
    for order in range(count_orders):
        customer = int(random.integers(60))
        items = set(random.choice(PRODUCTS, 3, replace=False)) - {"b", "d"}
        if "a" in items:
            items.add("b")
        if customer in was_c:
            items.add("d")
        was_c = was_c - {customer} | ({customer} if "c" in items else set())
        day = pd.Timestamp("2024-01-01") + pd.Timedelta(days=order * 180 // count_orders)
        lines += [(f"c{customer:02d}", order, day, item) for item in sorted(items)]
    return pd.DataFrame(
        lines, columns=["customer_id", "order_number", "ordered_date", "product_id"]
    )


def rules(*rows: tuple[str, str, str]) -> pd.DataFrame:
    kinds, before, after = zip(*rows, strict=True)
    columns = {"rule_kind": kinds, "antecedent_ids": map(list, before), "consequent_id": after}
    return pd.DataFrame({name: list(values) for name, values in columns.items()})


def test_what_was_planted_holds_and_the_rest_does_not() -> None:
    given = rules(
        ("pair", "a", "b"), ("pair", "e", "f"), ("triple", "ef", "g"),
        ("sequence", "c", "d"), ("sequence", "d", "c"), ("pair", "a", "z"),
    )  # fmt: skip
    found = judge.judged(given, planted())
    assert found["holds"].tolist() == [True, False, False, True, False, False]
    assert found["is_sold"].tolist() == [True] * 5 + [False]  # nobody sells z
    figures = judge.figures(found)
    assert figures["still_sold"] == pytest.approx(5 / 6)
    assert figures["holds"] == pytest.approx(2 / 5)
    assert figures["holds_sequence"] == 0.5


def test_products_are_dealt_within_their_month() -> None:
    lines = planted()
    dealt = judge.dealt(lines, np.random.default_rng(1))
    month = lines["ordered_date"].dt.month
    pd.testing.assert_series_equal(
        dealt.groupby([month, "product_id"]).size(), lines.groupby([month, "product_id"]).size()
    )
    assert (dealt["product_id"] != lines["product_id"]).mean() > 0.5
    assert dealt["order_number"].equals(lines["order_number"])
