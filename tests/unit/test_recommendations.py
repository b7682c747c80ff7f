"""Recommendations: the closed form, figures by hand, planted tastes, what is never shown, lists."""

from __future__ import annotations

from datetime import date
from itertools import product as cartesian
from math import log2

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ml_tasks.customers.boosting import booster_of
from ml_tasks.recommendations import (
    candidates,
    cart,
    ease,
    evaluate,
    figures,
    links,
    lists,
    lookback,
    names,
    purchases,
    ranking,
    reasons,
    related,
    reranker,
    rules,
    run,
    shop_lists,
    state,
    stored,
    today,
)
from ml_tasks.recommendations.contenders import OWN_AND_LINKS, PLAIN, RERANKED
from ml_tasks.recommendations.popularity import Popularity, popularity
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.trained_model import TrainedModel
from perennial.settings import REPOSITORY

UNLIKE = sparse.csr_matrix((72, 72), dtype=np.float32)  # products without names
START, TODAY = pd.Timestamp("2020-01-01"), date(2021, 6, 1)
DAY = int(np.datetime64(TODAY, "D").astype(int))


def shop(seed: int = 5, customers: int = 500, families: int = 6, size: int = 12) -> pd.DataFrame:
    """Lines of customers who order from one family each, 4 of 5 times; others are at random."""
    rng = np.random.default_rng(seed)
    rows, order = [], 0
    for number in range(customers):
        for day in np.flatnonzero(rng.random(517) < 0.012):
            order += 1
            for _ in range(1 + rng.poisson(1.5)):
                family = number % families if rng.random() < 0.8 else int(rng.integers(families))
                item = int(size * rng.random() ** 1.5)
                rows.append((number, order, int(day), f"f{family}-{item:02d}"))
    frame = pd.DataFrame(rows, columns=["buyer_number", "order_number", "day", "product_id"])
    frame["ordered_date"] = START + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame.drop_duplicates(["order_number", "product_id"]).assign(is_guest=False)


def products_of(lines: Lines, **changed: object) -> pd.DataFrame:
    """Rows of features.purchase_products as of TODAY."""
    found = popularity(lines, DAY)
    return pd.DataFrame(
        {
            "product_id": lines.products,
            "product_name": [f"Thing {one}" for one in lines.products],
            "product_family": [str(one)[:2] for one in lines.products],
            "count_customers_28d": found.recent,
            "count_customers_28d_before": found.earlier,
            "count_customers_90d": found.quarter,
            "count_customers_season_last_year": found.season,
            "count_customers_365d": found.year,
            "count_repeat_customers_365d": found.repeated,
            "count_active_customers_28d": found.active,
            "days_since_first_sale": found.age_days,
            "days_since_last_sale": 1,
            "returned_share_365d": 0.0,
            "is_discontinued": False,
        }
    ).assign(**changed)


def numbered(frame: pd.DataFrame) -> Lines:
    return Lines.of(frame.rename(columns={"buyer_number": "customer_id"}))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return shop()


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> TrainedModel:
    return run.fit(frame, frame, products_of(numbered(frame)), TODAY, seed=7)


def published(
    frame: pd.DataFrame, model: TrainedModel, left_out: rules.Rules, **changed: object
) -> pd.DataFrame:
    lines = numbered(frame)
    known = today.today(products_of(lines, **changed), model, left_out)
    return lists.rows(
        lines.customers.astype(str).astype(object), purchases.before(lines, DAY), known
    )


def long(rows: pd.DataFrame, kind: str) -> set[tuple[str, str]]:
    """Customer and product of all lists of a kind."""
    some = rows[(rows["list_kind"] == kind) & (rows["score_status"] == "scored")]
    return set(some.explode("product_ids")[["customer_id", "product_ids"]].itertuples(index=False))


# The closed form ---------------------------------------------------------------------------------


def test_weights_are_those_of_ridge_regressions_without_the_product_itself():
    """Column j of EASE is, up to its Lagrange multiplier, X regressed on X with B_jj held at 0."""
    bought = (np.random.default_rng(1).random((60, 7)) < 0.3).astype(float)
    found = ease.weights(ease.gram(sparse.csr_matrix(bought, dtype=np.float32)), penalty=3.0)
    for column in range(7):
        others = [one for one in range(7) if one != column]
        rest = bought[:, others]
        ridge = np.linalg.solve(rest.T @ rest + 3.0 * np.eye(6), rest.T @ bought[:, column])
        assert found[others, column] == pytest.approx(ridge, abs=1e-5)
        assert found[column, column] == 0.0


def test_the_largest_weights_of_a_column_are_kept():
    dense = np.random.default_rng(2).normal(size=(30, 30)).astype(np.float32)
    kept = ease.sparsified(dense.copy(), kept=4).toarray()
    for column in range(30):
        largest = np.argsort(-np.abs(dense[:, column]))[:4]
        assert set(np.flatnonzero(kept[:, column])) == set(largest)
        assert kept[largest, column] == pytest.approx(dense[largest, column])


def test_neighbours_are_those_of_a_naive_cosine():
    made = numbered(shop(customers=80))
    pairs = purchases.before(made, DAY)
    counts = np.log1p(pairs.matrix(pairs.count).toarray().astype(float))
    found = links.by_neighbours(pairs).toarray()
    norm = np.sqrt((counts**2).sum(axis=0))
    for left, right in ((0, 1), (3, 40), (10, 10)):
        naive = counts[:, left] @ counts[:, right] / (norm[left] * norm[right] + links.SHRINKAGE)
        assert found[left, right] == pytest.approx(0.0 if left == right else naive, abs=1e-5)


# Purchases and figures by hand -------------------------------------------------------------------


def test_purchases_are_those_of_a_naive_count(frame):
    made = numbered(frame)
    pairs = purchases.before(made, DAY - 60)
    before = frame[frame["ordered_date"] < pd.Timestamp(TODAY) - pd.Timedelta(days=60)]
    for customer in (0, 7, 123):
        own = before[before["buyer_number"] == made.customers[customer]]
        part = slice(pairs.starts[customer], pairs.starts[customer + 1])
        assert list(made.products[pairs.product[part]]) == sorted(set(own["product_id"]))
        for place in range(part.start, part.stop):
            some = own[own["product_id"] == made.products[pairs.product[place]]]
            ages = [(pd.Timestamp(TODAY) - one).days - 60 for one in some["ordered_date"]]
            assert pairs.count[place] == len(ages)
            assert pairs.decayed[place] == pytest.approx(sum(0.5 ** (age / 120) for age in ages))
            assert (pairs.last[place], pairs.first[place]) == (min(ages), max(ages))
        assert pairs.count_orders[customer] == own["order_number"].nunique()


def test_popularity_is_that_of_a_naive_count(frame):
    found = popularity(numbered(frame), DAY)
    age = (pd.Timestamp(TODAY) - frame["ordered_date"]).dt.days
    windows = {"recent": age <= 28, "earlier": age.between(29, 56), "quarter": age <= 90,
               "season": age.between(276, 365), "year": age <= 365}  # fmt: skip
    ids = numbered(frame).products
    for name, is_in in windows.items():
        naive = frame[is_in].groupby("product_id")["buyer_number"].nunique()
        assert list(getattr(found, name)) == list(naive.reindex(ids, fill_value=0)), name


def test_figures_are_those_computed_by_hand():
    """One customer finds the 1st and 4th of 3 products, another none of 1, a third has no list."""
    shown = figures.ranked(
        np.array([0, 0, 0, 0, 1]), np.array([5, 6, 7, 8, 5]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    )
    found = figures.of_lists(shown, np.array([0, 0, 0, 1, 2]), np.array([5, 8, 9, 6, 5]))
    ideal = 1 + 1 / log2(3) + 1 / log2(4)
    assert found["recall"] == pytest.approx([2 / 3, 0, 0])
    assert found["ndcg"] == pytest.approx([(1 + 1 / log2(5)) / ideal, 0, 0])
    assert list(found["hit"]) == [1, 0, 0]
    assert figures.coverage(shown, np.ones(8, dtype=bool)) == 4 / 8
    assert figures.novelty(shown, np.full(9, 0.25)) == pytest.approx(2.0)


def test_the_outcome_leaves_out_what_nobody_had_ordered(frame):
    made = numbered(frame)
    day = DAY - 90
    after = state.outcome(made, day)
    start = pd.Timestamp(TODAY) - pd.Timedelta(days=90)
    before, later = frame[frame["ordered_date"] < start], frame[frame["ordered_date"] >= start]
    own = set(before[["buyer_number", "product_id"]].itertuples(index=False, name=None))
    naive = {
        (buyer, item): (buyer, item) not in own
        for buyer, item in later[["buyer_number", "product_id"]].itertuples(index=False, name=None)
        if item in set(before["product_id"]) and buyer in set(before["buyer_number"])
    }
    customers = made.customers[after.rows[after.row]]
    found = dict(
        zip(zip(customers, made.products[after.product], strict=True), after.is_new, strict=True)
    )
    assert found == naive


def test_the_largest_are_those_of_a_stable_sort():
    rng = np.random.default_rng(4)
    values = rng.integers(0, 6, (40, 25)).astype(np.float32)
    values[5] = 1.0
    for count in (1, 3, 24, 25, 40):
        found = ranking.is_largest(values, count, axis=1)
        for row in range(len(values)):
            naive = np.argsort(-values[row], kind="stable")[:count]
            assert set(np.flatnonzero(found[row])) == set(naive)
        np.testing.assert_array_equal(ranking.is_largest(values.T, count, axis=0), found.T)


def test_candidates_are_those_of_a_naive_choice(frame, monkeypatch):
    """Caps that bind: own ones by weight, linked ones by link, popular ones, all of them shown."""
    for name, most in (("MAX_OWN", 3), ("MAX_LINKED", 4), ("MAX_POPULAR", 2)):
        monkeypatch.setattr(candidates, name, most)
    now = evaluate.Past(numbered(frame), UNLIKE, DAY, seed=7).state(3)
    is_shown = now.popular.is_sold & (np.arange(72) % 3 > 0)
    some = now.pairs.of(np.arange(60))
    (block,) = candidates.candidates(some, now.popular, now.links, is_shown)
    links_ = now.links.toarray()
    for customer in range(60):
        part = slice(some.starts[customer], some.starts[customer + 1])
        own = dict(zip(some.product[part], some.decayed[part], strict=True))
        link = {p: links_[list(own), p].sum() for p in range(72) if is_shown[p] and p not in own}
        best_own = sorted((p for p in own if is_shown[p]), key=lambda p: (-own[p], p))[:3]
        best = sorted((p for p in link if link[p] > 1e-6), key=lambda p: (-link[p], p))[:4]
        popular = [p for p in now.popular.order if p in link][:2]
        found = block.product[block.row == customer]
        assert set(found) == {*best_own, *best, *popular}
        linked = block.column("link")[block.row == customer]
        first = block.column("link_of_best")[block.row == customer]
        np.testing.assert_allclose(first, linked / max(linked.max(initial=0), 1e-6), rtol=1e-5)


def test_whoever_bought_nearly_all_is_shown_the_rest_and_nothing_old(frame, model):
    lines = numbered(frame)
    known = today.today(products_of(lines), model, rules.Rules("t"))
    bought = np.flatnonzero(known.is_shown)[:-5]
    one = np.ones(len(bought), dtype=int)
    pairs = purchases.Pairs(
        np.array([0, len(bought)]), bought, one, one.astype(float), one, one,
        np.array([len(bought)]), np.array([float(len(bought))]), 72,
    )  # fmt: skip
    rows = lists.rows(np.array(["x"], dtype=object), pairs, known).set_index("list_kind")
    rest = set(known.ids[np.flatnonzero(known.is_shown)[-5:]])
    assert set(rows.loc["new", "product_ids"]) == rest


def test_a_shard_without_customers_has_no_rows(frame, model):
    lines = numbered(frame)
    known = today.today(products_of(lines), model, rules.Rules("t"))
    none = purchases.before(lines, DAY).of(np.array([], dtype=int))
    rows = lists.rows(np.array([], dtype=object), none, known)
    assert len(rows) == 0
    assert set(published(frame, model, rules.Rules("t"))) <= set(rows)


def test_a_trend_is_the_same_in_a_sample_of_the_customers():
    counts = np.array([50.0, 0.0, 3.0])

    def trend(share: float) -> np.ndarray:
        some = [counts * share] * 6
        found = Popularity(counts * share, counts[::-1] * share, *some[2:], 1, 4000 * share)
        return candidates._of_products(found)[1]

    np.testing.assert_allclose(trend(1.0), trend(0.1))
    assert trend(1.0)[0] > 1 > trend(1.0)[2]


def test_sql_and_python_count_over_the_same_days():
    def text(name: str) -> str:
        return (REPOSITORY / f"dbt_project/models/features/{name}.sql").read_text()

    of_customers = text("customer_purchases")
    assert f"customers.as_of_date - {purchases.KNOWN_DAYS} <= items.ordered_date" in of_customers
    assert f"/ {purchases.HALF_LIFE_DAYS})" in of_customers
    assert f"sampled_lines({purchases.KNOWN_DAYS})" in text("purchase_lines")
    assert f"having count(*) <= {related.MAX_ORDER_PRODUCTS}" in text("basket_lines")


def test_sampling_is_bounded_and_repeatable():
    rows = state.drawn(np.arange(10_000), 100, seed=3)
    assert len(set(rows)) == 100
    assert list(rows) == sorted(rows)
    assert list(rows) == list(state.drawn(np.arange(10_000), 100, seed=3))
    assert list(state.drawn(np.arange(50), 100, seed=3)) == list(range(50))


def test_examples_are_bounded_and_keep_the_share_of_orders(frame, monkeypatch):
    made = numbered(frame)
    past = evaluate.Past(made, UNLIKE, DAY, seed=7)
    now, after = past.state(3), past.outcome(3)
    columns, label, weight = reranker.examples(now, after, seed=7)
    monkeypatch.setattr(reranker, "MAX_NOT_ORDERED", 500)
    fewer = reranker.examples(now, after, seed=7)
    assert len(columns) > 3000
    assert (fewer[1] == 0).sum() == 500
    assert fewer[1].sum() == label.sum()
    assert fewer[2].sum() == pytest.approx(weight.sum(), rel=1e-4)


def test_a_block_of_customers_changes_no_candidate(frame, monkeypatch):
    now = evaluate.Past(numbered(frame), UNLIKE, DAY, seed=7).state(3)
    rows = np.arange(40)
    (whole,) = now.candidates(rows)
    monkeypatch.setattr(candidates, "MAX_BLOCK", 7)
    parts = list(now.candidates(rows))
    assert len(parts) == 6
    assert np.concatenate([one.first + one.row for one in parts]).tolist() == whole.row.tolist()
    np.testing.assert_array_equal(np.concatenate([one.columns for one in parts]), whole.columns)


# What is recommended -----------------------------------------------------------------------------


def test_planted_tastes_are_recovered(frame, model):
    """Most new products are of the customer's family, which has a sixth of all products."""
    rows = published(frame, model, rules.Rules("t"))
    some = rows[(rows["list_kind"] == "new") & (rows["score_status"] == "scored")]
    first = some["product_ids"].map(lambda ids: ids[0])
    taste = some["customer_id"].astype(int) % 6
    has_new = [  # whoever has bought all of the family can't be shown any
        f"f{one}" in {item[:2] for item in ids}
        for one, ids in zip(taste, some["product_ids"], strict=True)
    ]
    right = (first.str[1].astype(int) == taste)[has_new]
    assert len(right) > 200
    assert right.mean() > 0.85


def test_lists_hold_what_they_say(frame, model):
    rows = published(frame, model, rules.Rules("t"))
    own = {(str(a), b) for a, b in frame[["buyer_number", "product_id"]].itertuples(index=False)}
    again, new = long(rows, "again"), long(rows, "new")
    assert len(again) > 2000
    assert again <= own
    assert len(new) > 2000
    assert not new & own
    for scores in rows["product_scores"].dropna():
        assert scores == sorted(scores, reverse=True)
        assert 0 < len(scores) <= 20
    assert not rows.duplicated(["customer_id", "list_kind"]).any()
    assert set(rows["customer_id"]) == {str(one) for one in frame["buyer_number"]}


FORBIDDEN = {
    "word": (rules.Rules("t", words=("f0-03",)), {}, lambda one: one == "f0-03"),
    "family": (rules.Rules("t", families=("f1",)), {}, lambda one: one.startswith("f1")),
    "product": (rules.Rules("t", products=("f2-00",)), {}, lambda one: one == "f2-00"),
    "returned": (rules.Rules("t", max_returned_share=0.5),
                 {"returned_share_365d": lambda of: 0.5 + 0.1 * (of["product_id"] == "f3-01")},
                 lambda one: one == "f3-01"),
    "discontinued": (rules.Rules("t"), {"is_discontinued": lambda of: of["product_id"] == "f4-00"},
                     lambda one: one == "f4-00"),
    "not_sold": (rules.Rules("t"),
                 {"count_customers_90d": lambda of: of["count_customers_90d"]
                  * (of["product_id"] != "f5-00")},
                 lambda one: one == "f5-00"),
}  # fmt: skip


@pytest.mark.parametrize("reason", FORBIDDEN)
def test_nothing_forbidden_is_recommended_anywhere(frame, model, reason):
    left_out, changed, is_forbidden = FORBIDDEN[reason]
    lines = numbered(frame)
    known = today.today(products_of(lines).assign(**changed), model, left_out)
    rows = lists.rows(
        lines.customers.astype(str).astype(object), purchases.before(lines, DAY), known
    )
    shown = {item for _, item in long(rows, "again") | long(rows, "new")}
    goes_with = shop_lists.companions(known)
    audiences = pd.DataFrame(
        {
            "audience_kind": "country",
            "audience": "A",
            "product_id": lines.products,
            "count_customers": 1,
        }
    )
    starting = shop_lists.starting(audiences, known, "t")
    for column in (
        goes_with["companion_ids"],
        goes_with["substitute_ids"],
        starting["product_ids"],
    ):
        shown |= set(column.explode().dropna())
    forbidden = {one for one in lines.products if is_forbidden(one)}
    assert forbidden
    assert len(shown) > 40
    assert not shown & forbidden
    why = goes_with.set_index("product_id")["why_not_shown"]
    assert set(why[list(forbidden)]) == {reason}
    own = frame[frame["product_id"].isin(forbidden)].groupby("buyer_number")["product_id"].nunique()
    counted = rows[rows["list_kind"] == "again"].set_index("customer_id")["count_left_out"].dropna()
    expected = own.rename(lambda one: str(one)).reindex(counted.index, fill_value=0)
    assert (counted == expected).all()
    is_sold = products_of(lines).assign(**changed)["count_customers_90d"] > 0
    hidden = len(forbidden & set(lines.products[is_sold]))  # a product not sold isn't left out
    of_new = rows[(rows["list_kind"] == "new") & (rows["score_status"] == "scored")]
    assert set(of_new["count_left_out"]) == set(starting["count_left_out"]) == {hidden}


def test_a_word_is_a_whole_word():
    some = pd.DataFrame(
        {"product_id": ["a", "b"], "product_name": ["Gin, dry", "Ginger tea"],
         "product_family": None, "count_customers_90d": 1, "is_discontinued": False,
         "returned_share_365d": np.nan}
    )  # fmt: skip
    assert list(rules.why_not_shown(some, rules.Rules("t", words=("gin",)))) == ["word", None]


def test_rules_that_cannot_be_are_named():
    good = {"version": 1, "words": [], "families": [], "products": [], "max_returned_share": None}
    assert rules.parse(good).version == "1"
    for wrong in ({"word": []}, {"words": "gin"}, {"max_returned_share": "a"}):
        with pytest.raises(rules.RulesError, match=next(iter(wrong))):
            rules.parse({**good, **wrong})


def test_a_customer_without_known_products_gets_the_popular_ones(frame, model):
    lines = numbered(frame)
    known = today.today(products_of(lines), model, rules.Rules("t"))
    nobody = purchases.before(lines, DAY).of(np.array([0]))
    empty = purchases.Pairs(
        np.array([0, 0]),
        *(getattr(nobody, one)[:0] for one in ("product", "count", "decayed", "last", "first")),
        np.array([1]), np.array([0.5]), nobody.count_products,
    )  # fmt: skip
    rows = lists.rows(np.array(["x"], dtype=object), empty, known).set_index("list_kind")
    assert rows.loc["again", "score_reason"] == lists.NOTHING["again"]
    popular = set(known.ids[known.popular.order][:40])
    assert len(rows.loc["new", "product_ids"]) == 20
    assert set(rows.loc["new", "product_ids"]) <= popular
    assert set(rows.loc["new", "reason_kinds"]) == {reasons.POPULAR}


def test_reasons_name_what_explains_them():
    kinds, words = reasons.of_own(np.array([3, 2, 5]), np.array([30.4, 9.0, 0.2]))
    assert list(kinds) == ["interval", "bought", "bought"]
    assert list(words) == [
        "you buy it every 30 days",
        "you bought it before",
        "you bought it before",
    ]
    weights = sparse.csr_matrix(np.array([[0, 0, 0.2], [0, 0, 0.5], [0, 0, 0]], dtype=np.float32))
    none = related.Related.of(np.array([0]), np.array([2]), np.array([2.0]), 3)
    explaining = reasons.Explaining(weights, none, np.zeros(3, dtype=bool))
    # the first customer bought 0 and 1, the second 0, the third nothing
    some = np.array([0, 1, 0])
    pairs = purchases.Pairs(np.array([0, 2, 3, 3]), some, *[some] * 6, 3)
    best, goes = explaining.best(np.array([0, 1, 2]), np.array([2, 2, 2]), pairs)
    assert list(best) == [1, 0, -1]
    assert list(goes) == [False, True, False]
    faint = reasons.Explaining(weights / 100, none, np.array([False, False, True]))
    assert list(faint.best(np.array([0]), np.array([2]), pairs)[0]) == [-1]  # .005: it is popular
    unpopular = reasons.Explaining(weights / 100, none, np.zeros(3, dtype=bool))
    assert list(unpopular.best(np.array([0]), np.array([2]), pairs)[0]) == [1]
    _, words = reasons.of_new(best, goes, np.array(["Cup", "Tea", "Pot"], dtype=object))
    assert list(words) == [
        "others who bought Tea bought it", "often ordered with Cup, which you bought", "popular now"
    ]  # fmt: skip


# Products and the shop ---------------------------------------------------------------------------


def related_shop() -> tuple[Lines, pd.Series]:
    """Cup and saucer are ordered together; customers take one tea or the other, seldom both."""
    rng = np.random.default_rng(3)
    rows = []
    for order in range(1500):
        buyer = int(rng.integers(150))
        basket = {f"x{one}" for one in rng.integers(0, 20, 3)}
        if rng.random() < 0.1:
            basket |= {"cup", "saucer"}
        if rng.random() < 0.3:
            basket.add("earl" if rng.random() < 0.5 else "assam")
        if rng.random() < 0.1:
            basket |= {"mug red", "mug blue"}
        rows += [
            (buyer % 50 if {"earl", "assam"} & basket else buyer, order, START, item)
            for item in basket
        ]
    frame = pd.DataFrame(
        rows, columns=["customer_id", "order_number", "ordered_date", "product_id"]
    )
    made = Lines.of(frame)
    text = {"mug red": "Stoneware mug red", "mug blue": "Stoneware mug blue"}
    return made, pd.Series([text.get(one, f"name{n}") for n, one in enumerate(made.products)])


def test_planted_companions_and_substitutes_are_found():
    made, texts = related_shop()
    day = int(np.datetime64(START + pd.Timedelta(days=1), "D").astype(int))
    companions, substitutes = related.related(made, day, names.similar(texts))

    def of(found: related.Related, item: str) -> list[str]:
        number = list(made.products).index(item)
        return list(made.products[found.other[found.starts[number] : found.starts[number + 1]]])

    assert of(companions, "cup")[0] == "saucer"
    assert "mug blue" not in of(companions, "mug red")  # a variant is no companion
    assert of(substitutes, "mug red")[0] == "mug blue"
    assert of(substitutes, "earl")[0] == "assam"
    assert "saucer" not in of(substitutes, "cup")
    assert not {(a, b) for a, b in zip(companions.row, companions.other, strict=True)} & {
        (a, b) for a, b in zip(substitutes.row, substitutes.other, strict=True)
    }


def test_lift_of_companions_is_that_of_a_naive_count():
    made, texts = related_shop()
    day = int(np.datetime64(START + pd.Timedelta(days=1), "D").astype(int))
    companions, _ = related.related(made, day, names.similar(texts))
    baskets = pd.DataFrame({"order": made.order, "product": made.product})
    baskets = baskets.groupby("order")["product"].agg(set)
    cup, saucer = (list(made.products).index(one) for one in ("cup", "saucer"))
    both = sum({cup, saucer} <= one for one in baskets)
    expected = (
        sum(cup in one for one in baskets) * sum(saucer in one for one in baskets) / len(baskets)
    )
    first = companions.starts[cup]
    assert companions.value[first] == pytest.approx((both + 5) / (expected + 5), rel=1e-5)


def test_names_are_similar_by_their_rare_words():
    texts = pd.Series(["red tin box", "blue tin box", "garden gnome", None, "tin box"])
    found = names.similar(texts).toarray()
    assert found[0, 1] > 0.3
    assert found[0, 2] == found[0, 0] == found[3].sum() == 0
    nothing = sparse.csr_matrix((5, 5), dtype=np.float32)
    rare = links.with_names(nothing, np.array([0, 2]), sparse.csr_matrix(found))
    assert not rare.count_nonzero()  # no weight to scale by


def test_a_product_of_few_customers_is_linked_by_its_name():
    weights = np.zeros((4, 4), dtype=np.float32)
    weights[0, 1] = weights[1, 0] = 0.4
    alike = names.similar(pd.Series(["red tin box", "garden gnome", "blue tin box", "violin"]))
    found = links.with_names(sparse.csr_matrix(weights), np.array([0, 1]), alike).toarray()
    assert found[0, 1] == pytest.approx(0.4)
    assert 0 < found[0, 2] == found[2, 0] < 0.4
    assert not found[3].any()


def test_a_link_by_name_is_half_a_usual_weight_times_the_similarity():
    """Also between two products of few customers, each of which names the other."""
    weights = np.zeros((4, 4), dtype=np.float32)
    weights[0, 1] = weights[1, 0] = 0.4
    alike = names.similar(pd.Series(["red tin box", "garden gnome", "blue tin box", "tin box"]))
    found = links.with_names(sparse.csr_matrix(weights), np.array([0, 1]), alike).toarray()
    for one, other in ((0, 2), (2, 3), (3, 2)):
        assert found[one, other] == pytest.approx(0.5 * 0.4 * alike[one, other])


def test_a_cart_is_completed():
    companions = {
        "tea": [("cup", 3.0), ("milk", 2.0), ("pot", 1.5)],
        "pot": [("milk", 2.0), ("tea", 9.0)],
        "old": [("never", 99.0)],
    }
    assert cart.completed(["tea", "pot"], companions) == ["milk", "cup"]
    assert cart.completed(["old", "a", "b", "c", "tea", "pot"], companions) == ["milk", "cup"]
    assert cart.completed(["tea"], companions, length=1) == ["cup"]
    assert cart.completed(["unknown"], companions) == cart.completed([], companions) == []


def test_starting_lists_are_filled_up_by_those_of_everybody(frame, model):
    known = today.today(products_of(numbered(frame)), model, rules.Rules("t"))
    own = pd.DataFrame({"audience_kind": "country", "audience": "A",
                        "product_id": ["f0-11", "gone"],
                        "count_customers": [1, 9]})  # fmt: skip
    rows = shop_lists.starting(own, known, "t").set_index("audience_kind")
    ids = rows.loc["country", "product_ids"]
    everybody = rows.loc["all", "product_ids"]
    assert ids[0] == "f0-11"
    assert rows.loc["country", "count_own_products"] == 1
    assert ids[1:] == [one for one in everybody if one != "f0-11"][:19]
    assert len(ids) == len(set(ids)) == 20


# Training ----------------------------------------------------------------------------------------


def test_a_plain_model_that_is_as_good_is_published():
    def figure(name: str, value: float) -> list:
        one = {"mean_ndcg": value, "ndcg": value, "new_ndcg": value, "new_coverage": 0.5}
        return evaluate.rows(TODAY, name, one, 10)

    values = dict.fromkeys([*PLAIN, "neighbours"], 0.1) | {OWN_AND_LINKS: 0.2, RERANKED: 0.2015}
    found = [one for name, value in values.items() for one in figure(name, value)]
    assert evaluate._decided(evaluate.Evaluation(tuple(found))).winner == OWN_AND_LINKS
    better = [one for one in found if one.model != RERANKED] + figure(RERANKED, 0.203)
    assert evaluate._decided(evaluate.Evaluation(tuple(better))).winner == RERANKED


def test_the_same_lines_give_the_same_model(frame, model):
    again = run.fit(frame, frame, products_of(numbered(frame)), TODAY, seed=7)
    assert again.model_version == model.model_version


def test_later_orders_change_no_state(frame):
    made = numbered(frame)
    cut = made.only(made.day < DAY - 100)
    whole, before = (state.state_at(one, DAY - 100, 300.0, UNLIKE) for one in (made, cut))
    assert (whole.links != before.links).nnz == 0
    np.testing.assert_array_equal(whole.pairs.decayed, before.pairs.decayed)
    np.testing.assert_array_equal(whole.popular.season, before.popular.season)


def test_stored_links_find_their_products_among_todays(frame, model):
    lines = numbered(frame)
    more = np.sort(np.append(lines.products, ["a-new", "zz"]).astype(object))
    place = stored.places(model.artefacts, pd.Index(more))
    found = stored.links(model.artefacts, place, len(more)).toarray()
    alike = names.similar(products_of(lines)["product_name"])
    learnt = state.state_at(lines, DAY, model.parameters["penalty"], alike).links.toarray()
    assert (learnt != learnt.T).any()  # rows and columns can be told apart
    at = [list(more).index(one) for one in lines.products]
    np.testing.assert_array_equal(found[np.ix_(at, at)], learnt)
    assert not found[list(more).index("zz")].any()


def test_lookback_finds_what_was_ordered():
    listed = pd.DataFrame(
        {"customer_id": ["a", "a", "b"], "list_kind": ["again", "new", "new"],
         "product_ids": [["x"], ["y", "z"], None], "product_scores": [[0.9], [0.5, 0.4], None],
         "country": "A", "days_since_first_order": 100, "count_order_days": 2}
    )  # fmt: skip
    ordered = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b"],
            "product_id": ["x", "z", "x"],
            "is_new": [False, True, True],
        }
    )
    found = lookback.customers(listed, ordered, pd.Index(["x", "y", "z"])).set_index("customer_id")
    assert found.loc["a", "recall"] == 1.0
    assert found.loc["a", "new_ndcg"] == pytest.approx(1 / log2(3))
    assert found.loc["b", ["recall", "new_recall"]].tolist() == [0, 0]


def test_every_contender_scores_every_candidate(frame):
    past = evaluate.Past(numbered(frame), UNLIKE, DAY, 7)
    (block,) = past.state(0).candidates(np.arange(30))
    for name, kind in cartesian(PLAIN, ("own", "new")):
        score = PLAIN[name](block)[block.is_own == (kind == "own")]
        assert np.isfinite(score).all(), name
    booster = booster_of(past.trees(0) or b"")
    chance = reranker.probability(booster, block.columns)
    assert ((chance > 0) & (chance < 1)).all()
