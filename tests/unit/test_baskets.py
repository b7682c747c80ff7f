"""Baskets: counts by a naive twin, nothing in shuffled orders, planted rules, stable ids."""

from __future__ import annotations

from datetime import date
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_tasks import question as questions
from ml_tasks.baskets import evaluate, model, run, sequences, significance, together, variants
from ml_tasks.baskets.orders import Orders
from ml_tasks.models import decision
from tests.unit.planted_shop import PlantedShop

START = pd.Timestamp("2021-01-01")


def lines_of(orders: list[tuple[int, int, set[str]]]) -> pd.DataFrame:
    """Lines of orders (buyer, day, items)."""
    return pd.DataFrame(
        [
            (number, buyer, START + pd.Timedelta(days=day), item)
            for number, (buyer, day, items) in enumerate(orders)
            for item in sorted(items)
        ],
        columns=["order_number", "buyer_number", "ordered_date", "product_id"],
    )


def shop(
    seed: int, count: int = 4000, items: int = 80, days: int = 360
) -> list[tuple[int, int, set[str]]]:
    """Orders without any rule: sizes from 1 to 60, products of uneven popularity, by season."""
    rng = np.random.default_rng(seed)
    names = np.array([f"p{number:03d}" for number in range(items)])
    popularity = 1 / np.arange(1, items + 1) ** 0.7
    season = rng.integers(0, 12, items)
    orders = []
    for _ in range(count):
        day, size = int(rng.integers(0, days)), int(min(rng.lognormal(1.2, 0.9) + 1, 60))
        weight = popularity * np.where(season == day % 360 // 30, 4.0, 1.0)
        drawn = rng.choice(names, min(size, items), replace=False, p=weight / weight.sum())
        orders.append((int(rng.pareto(1.0) * 20) % 800, day, set(drawn)))
    return orders


def planted(seed: int = 3) -> list[tuple[int, int, set[str]]]:
    """A shop in which A goes with B; D and E together bring F; G is followed by H."""
    rng = np.random.default_rng(seed)
    orders = sorted(shop(seed), key=lambda order: order[:2])
    owed: dict[int, int] = {}
    for buyer, day, items in orders:
        draw = rng.random()
        for limit, some in ((0.03, "AB"), (0.05, "A"), (0.08, "D"), (0.11, "E"), (0.14, "DEF")):
            if draw < limit:
                items |= set(some)
                break
        if buyer in owed and owed[buyer] < day:
            items.add("H")
            del owed[buyer]
        elif draw > 0.93:
            items.add("G")
            owed[buyer] = day
    return orders


def shuffled(lines: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Products dealt anew among the lines of a month; a product twice in an order is once there."""
    rng = np.random.default_rng(seed)
    month = lines["ordered_date"].dt.to_period("M").astype(str)
    dealt = lines.groupby(month)["product_id"].transform(lambda one: rng.permutation(one.array))
    return lines.assign(product_id=dealt).drop_duplicates(["order_number", "product_id"])


def named(rules: pd.DataFrame, kind: str) -> set[tuple[str, ...]]:
    """Products of the rules of a kind, the consequent last."""
    of_kind = rules[rules["rule_kind"] == kind]
    both = zip(of_kind["antecedent_ids"], of_kind["consequent_id"], strict=True)
    return {(*ids, one) for ids, one in both}


def test_supports_and_customers_are_those_of_a_naive_count():
    orders = shop(1, count=600, items=15)
    made = Orders.of(lines_of(orders).sample(frac=1, random_state=1))
    for size in (2, 3):
        members = np.array(list(combinations(range(15), size)))
        counts, buyers = made.counts(members)
        for row, count, customers in zip(members, counts, buyers, strict=True):
            with_all = [o for o in orders if set(made.items[row]) <= o[2]]
            assert (count, customers) == (len(with_all), len({o[0] for o in with_all}))
    found = together.frequent_pairs(made, 30)
    pairs = zip(made.items[found["left"]], made.items[found["right"]], strict=True)
    naive = {
        pair: sum(set(pair) <= items for _, _, items in orders)
        for pair in combinations(made.items, 2)
    }
    assert dict(zip(pairs, found["count_orders"], strict=True)) == {
        pair: count for pair, count in naive.items() if count >= 30
    }


def test_steps_are_those_of_a_naive_count():
    orders = shop(2, count=500, items=12)
    steps = sequences.Steps.of(Orders.of(lines_of(orders)))
    naive: dict[tuple[str, str], list[int]] = {}
    for buyer in {order[0] for order in orders}:
        days: dict[int, set[str]] = {}
        for _, day, items in (order for order in orders if order[0] == buyer):
            days.setdefault(day, set()).update(items)
        visits = [days[day] for day in sorted(days)]
        for before, after in pairwise(visits):
            for pair in ((a, b) for a in before for b in after - before):
                naive.setdefault(pair, []).append(buyer)
    names = steps.before.items
    members = np.array([(a, b) for a in range(len(names)) for b in range(len(names)) if a != b])
    for row, count, customers in zip(members, *steps.counts(members), strict=True):
        buyers = naive.get(tuple(names[row]), [])
        assert (count, customers) == (len(buyers), len(set(buyers)))


def test_expected_orders_are_the_mean_of_shuffled_ones():
    lines = lines_of(shop(4, count=1500, items=40))
    members = np.array([(0, 1), (0, 5), (3, 9), (10, 20)])
    means = np.zeros((2, len(members)))
    for seed in range(20):
        dealt = shuffled(lines, seed)
        made = Orders.of(dealt)
        means += np.array([made.counts(members)[0], made.expected_pairs(members)]) / 20
    assert means[0] == pytest.approx(means[1], rel=0.15)
    assert (means[0] <= means[1] * 1.02).all()  # it errs on the side of chance


@pytest.mark.parametrize("seed", range(6))
def test_of_shuffled_orders_no_rule_survives(seed):
    lines = shuffled(lines_of(planted(seed)), seed)
    made = Orders.of(lines)
    plain = together.frequent_pairs(made, together.MIN_ORDERS)
    sold = made.item_counts[plain[["left", "right"]].to_numpy()].prod(axis=1)
    assert (plain["count_orders"] * made.count / sold > 1).mean() > 0.9  # as a user computes it
    assert model.learn(lines).empty


def test_planted_rules_are_recovered_and_no_others():
    rules = model.learn(lines_of(planted()))
    assert ("B", "A") in named(rules, model.PAIR)
    assert named(rules, model.TRIPLE) == {("D", "E", "F")}
    assert named(rules, model.SEQUENCE) == {("G", "H")}
    assert {item for pair in named(rules, model.PAIR) for item in pair} <= set("ABDEF")
    by_pair = rules.set_index("consequent_id")
    assert by_pair.loc["H", "direction"] == model.ONE_WAY
    rule = rules[rules["consequent_id"] == "A"].iloc[0]
    assert rule["confidence"] > 0.9 > rule["reverse_confidence"] > 0.5
    assert rule["direction"] == model.BOTH_WAYS
    assert rule["lift"] == pytest.approx(rule["count_orders"] / rule["expected_orders"])


def test_a_buyer_who_repeats_a_basket_is_one_piece_of_evidence():
    orders = shop(5)
    often = [(9_999, day, {"X", "Y"}) for day in range(0, 300, 5)]
    assert model.learn(lines_of([*orders, *often])).empty
    many = [(10_000 + day, day, {"X", "Y"}) for day in range(0, 300, 5)]
    assert named(model.learn(lines_of([*orders, *many])), model.PAIR) == {("X", "Y")}
    few = significance.chance(np.array([40.0]), np.array([4.0]), np.array([10.0]))
    assert few == pytest.approx(stats.poisson.sf(3, 1.0))


def test_rules_do_not_depend_on_the_order_of_rows_or_the_numbers_of_orders():
    lines = lines_of(planted())
    mixed = lines.sample(frac=1, random_state=3, ignore_index=True)
    mixed["order_number"] = 10_000 - mixed["order_number"]
    mixed["buyer_number"] = mixed["buyer_number"] * 7 + 1
    pd.testing.assert_frame_equal(model.learn(lines), model.learn(mixed))


def test_a_rule_has_the_same_id_on_later_data():
    orders = planted()
    rules, fewer = (
        model.learn(lines_of(some)) for some in (orders, [o for o in orders if o[1] < 300])
    )
    assert set(fewer["rule_id"]) & set(rules["rule_id"])
    assert rules["rule_id"].is_unique
    both = rules.merge(fewer, on="rule_id")
    same = [sorted([*r.antecedent_ids_x, r.consequent_id_x]) for r in both.itertuples()]
    assert same == [sorted([*r.antecedent_ids_y, r.consequent_id_y]) for r in both.itertuples()]
    assert model.rule_id("sequence", ["a", "b"]) != model.rule_id("sequence", ["b", "a"])


def test_colours_and_sizes_of_a_product_are_one_item():
    names = {
        "3": "RED MUG",
        "1": "Mug, blue 300ml",
        "2": "Small Mug Dark Green",
        "4": "MUG TREE",
        "5": "Red",
        "6": None,
        "7": None,
        "8": "Model 17",
        "9": "Model 18, 12x8cm",
    }
    products = pd.DataFrame({"product_id": names.keys(), "product_name": names.values()})
    items = variants.item_of(products).to_dict()
    assert items == {
        "1": "1",
        "2": "1",
        "3": "1",
        "4": "4",
        "5": "5",
        "6": "6",
        "7": "7",
        "8": "8",
        "9": "9",
    }
    lines = lines_of([(1, 1, {"1", "3", "4"}), (2, 2, {"2", "unheard of"})])
    kept, members = model.folded(lines, products)
    assert kept["product_id"].tolist() == ["1", "1", "4", "1", "unheard of"]
    assert members == {"1": ["1", "2", "3"]}
    assert Orders.of(kept).item_counts.tolist() == [2, 1, 1]


def products_at(**sold: tuple[str | None, int, bool]) -> pd.DataFrame:
    columns = ["product_name", "count_orders_56d", "is_discontinued"]
    frame = pd.DataFrame.from_dict(sold, orient="index", columns=columns)
    return frame.rename_axis("product_id").reset_index()


@pytest.mark.parametrize(
    ("changed", "is_sold"),
    [
        ({}, True),
        ({"B": ("bowl", 0, False)}, False),
        ({"B": ("bowl", 3, True)}, False),
        ({"A": ("mug", 0, False)}, True),  # its variant is sold
        ({"A": ("mug", 0, False), "A2": ("red mug", 5, True)}, False),
    ],
)
def test_whether_both_are_still_sold_is_of_the_scored_date(changed, is_sold):
    rules = pd.DataFrame({"antecedent_ids": [["A"]], "consequent_id": ["B"]})
    known = {"A": ("mug", 1, False), "A2": ("red mug", 5, False), "B": (None, 2, False), **changed}
    (row,) = run.as_of(rules, products_at(**known), {"A": ["A", "A2"]}).to_dict("records")
    assert row["is_still_sold"] is is_sold
    assert row["antecedent_names"] == ["mug"]
    assert row["consequent_name"] == (known["B"][0] or "B")
    assert row["count_products"] == 3


def test_rules_are_tested_on_the_half_year_after():
    orders = [(b, d + d // 2, items) for b, d, items in planted() + planted(4)]
    orders = [(b, d, items - {"B"} if d > 350 else items) for b, d, items in orders]
    found = evaluate.evaluate(lines_of(orders), (START + pd.Timedelta(days=540)).date())
    (figures,) = found.of(evaluate.MODEL).values()
    assert figures["replicated_triple"] == figures["replicated_sequence"] == 1
    assert figures["still_sold"] < 1  # B ended
    assert found.metrics["replicated"] >= 0.9
    result = evaluate.tested(
        pd.DataFrame({"rule_kind": "pair", "antecedent_ids": [["A"]], "consequent_id": ["p001"]}),
        lines_of(orders),
    )
    assert result["is_sold"].all()
    assert not result["is_replicated"].any()


def test_rules_without_a_frequent_pair_are_evaluated_alone():
    steps = [(b, d, {"G" if d < 180 else "H"}) for b in range(60) for d in (b + 1, b + 181)]
    others = [(100 + b, d, {f"p{d % 60}"}) for b in range(600) for d in (b % 300, b % 300 + 30)]
    found = evaluate.evaluate(lines_of(steps + others), (START + pd.Timedelta(days=500)).date())
    assert found.rows(evaluate.PLAIN_LIFT) == []
    (figures,) = found.of(evaluate.MODEL).values()
    assert figures == {"still_sold": 0}
    assert "replicated" not in found.metrics


def test_a_shop_is_scored_by_the_rules_of_its_model():
    orders = pd.DataFrame({"customer_id": ["c"], "ordered_date": [START], "product_id": ["A"]})
    store = PlantedShop(orders, pd.DataFrame(), np.ones(1))
    trained = run.QUESTION.train(date(2021, 3, 1), store, seed=7)
    (row,) = run.QUESTION.score(date(2021, 3, 5), trained, store)["baskets"].to_dict("records")
    assert (row["rule_id"], row["score_status"]) == ("none", "not_scored")
    assert row["score_reason"] == run.NO_RULES


def test_newer_counts_replace_older_ones_and_segments_stay():
    assert not decision._is_kept("baskets")
    assert decision._is_kept("segments")
    assert not questions.load("churn").is_recounted
