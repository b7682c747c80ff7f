"""What belongs together in the sample shop, found by the functions of the questions.

The truth is `truth_bonds`, `truth_customers` and ingest/sample_shop/README.md. The shop without
bonds is the same shop with `bonds_from` behind its end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ingest.sample_shop import Plan, Shop, generate, months, write_next_day, write_plan
from ingest.sample_shop.plan import FAMILIES, PAIR, SEQUENCE, SUBSTITUTE
from ml_tasks.baskets.evaluate import within
from ml_tasks.baskets.model import learn
from ml_tasks.next_order import families
from ml_tasks.recommendations.names import similar
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.related import Related, related

DAYS = 730
NEVER = 10_000
FALSE_PAIRS = 5  # measured: 3 of each seed, all of one family, which tastes bring together


@pytest.fixture(scope="module", params=[7, 11])
def shop(request: pytest.FixtureRequest) -> Shop:
    return generate(request.param, 5_000, DAYS)


@pytest.fixture(scope="module")
def sold(shop: Shop) -> pd.DataFrame:
    """Product lines of sales, each product once an order, as the questions read them."""
    return sold_of(shop.orders, shop.order_items)


@pytest.fixture(scope="module")
def without(shop: Shop) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders and their lines of the shop without bonds."""
    parts = list(months(Plan(shop.plan.seed, 5_000, DAYS, bonds_from=NEVER)))
    orders, items = (
        pd.concat([getattr(part, name) for part in parts], ignore_index=True)
        for name in ("orders", "order_items")
    )
    return orders, items


def sold_of(orders: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    lines = items.merge(orders, on="order_id")
    lines = lines[(lines.line_type == "product") & (lines.order_type == "sale")]
    buyer = lines.customer_id.fillna(lines.order_id)
    return lines.assign(
        order_number=pd.factorize(lines.order_id, sort=True)[0],
        buyer_number=pd.factorize(buyer, sort=True)[0],
        ordered_date=lines.ordered_at.dt.normalize(),
    ).drop_duplicates(["order_number", "product_id"])


def bonds_of(shop: Shop, kind: str) -> list[tuple[str, str]]:
    truth = shop.truth_bonds[shop.truth_bonds.kind == kind]
    return list(zip(truth.product_id, truth.other_product_id, strict=True))


def rules_of(lines: pd.DataFrame, kind: str) -> list[tuple[str, str]]:
    """Rules of a year, the best first."""
    rules = learn(within(lines, pd.Timestamp("2024-12-31"), 365))
    rules = rules[rules["rule_kind"] == kind]
    return list(zip(rules["antecedent_ids"].str[0], rules["consequent_id"], strict=True))


def family_of(shop: Shop) -> dict[str, str]:
    return shop.truth_products.set_index("product_id").product_family.to_dict()


# Only products change ------------------------------------------------------------------------


def test_bonds_change_nothing_but_products_of_a_family(shop, without):
    orders, items = without
    pd.testing.assert_frame_equal(shop.orders, orders)
    ours = shop.order_items[shop.order_items.line_type == "product"].reset_index(drop=True)
    theirs = items[items.line_type == "product"].reset_index(drop=True)
    same = ["order_item_id", "order_id", "quantity"]
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    family = family_of(shop)
    assert ours.product_id.map(family).equals(theirs.product_id.map(family))
    assert 0.02 < (ours.product_id != theirs.product_id).mean() < 0.06


def test_bonds_leave_the_money_as_it_was(shop, without):
    orders, items = without

    def amount(items: pd.DataFrame) -> float:
        sales = items[items.order_id.isin(orders.order_id[orders.order_type == "sale"])]
        return float((sales.quantity * sales.unit_price_amount).sum())

    assert amount(shop.order_items) == pytest.approx(amount(items), rel=0.01)


def test_a_month_with_bonds_needs_no_earlier_month(shop):
    plan = Plan(shop.plan.seed, 5_000, 300)
    later = next(months(plan, first=8))
    pd.testing.assert_frame_equal(later.order_items, shop.months[8].order_items)
    pd.testing.assert_frame_equal(later.orders, shop.months[8].orders)


# What is planted is there --------------------------------------------------------------------


def test_four_pairs_and_two_sequences_and_some_substitutes_are_planted(shop):
    count = shop.truth_bonds.kind.value_counts()
    assert (count[PAIR], count[SEQUENCE]) == (4, 2)
    assert count[SUBSTITUTE] in (1, 2)  # seed 11 has no two bird feeders that stay
    named = shop.truth_bonds[["product_id", "other_product_id"]].to_numpy().ravel()
    ends = shop.truth_products.set_index("product_id").discontinued_date[named]
    assert ends.isna().all()
    assert len(set(named)) == len(named)


def test_eight_in_ten_orders_with_room_get_the_pairs_other_product(shop, without):
    lines = sold_of(*without)
    family = lines.product_id.map(family_of(shop))
    named = set(shop.truth_bonds[["product_id", "other_product_id"]].to_numpy().ravel())
    now = shop.order_items
    for product, other in bonds_of(shop, PAIR):
        has, had = (set(lines.order_id[lines.product_id == one]) for one in (product, other))
        is_room = (family == family_of(shop)[other]) & ~lines.product_id.isin(named)
        room = (has & set(lines.order_id[is_room])) - had
        room = {order for order in room if order.startswith("O")}
        got = room & set(now.order_id[now.product_id == other])
        assert len(room) > 30
        # an earlier bond has taken the room of a few
        assert len(got) / len(room) == pytest.approx(0.8, abs=0.13)


def test_no_order_holds_two_substitutes_but_customers_buy_both(shop, sold):
    ours = sold[sold.order_id.str.startswith("O")]
    for pair in bonds_of(shop, SUBSTITUTE):
        either = ours[ours.product_id.isin(pair)]
        assert len(either) > 300
        assert either.order_id.is_unique
        both = either.dropna(subset="customer_id").groupby("customer_id").product_id.nunique()
        assert (both == 2).sum() > 30


# The questions find it -----------------------------------------------------------------------


def test_baskets_finds_the_planted_pairs_first_and_few_others(shop, sold):
    found = [frozenset(rule) for rule in rules_of(sold, "pair")]
    planted = {frozenset(pair) for pair in bonds_of(shop, PAIR)}
    assert set(found[: len(planted)]) == planted
    family = family_of(shop)
    others = found[len(planted) :]
    assert len(others) <= FALSE_PAIRS
    assert all(len({family[one] for one in pair}) == 1 for pair in others)


def test_baskets_finds_no_planted_pair_in_the_shop_without(shop, without):
    lines = sold_of(*without)
    found = {frozenset(rule) for rule in rules_of(lines, "pair")}
    planted = {frozenset(pair) for pair in bonds_of(shop, PAIR)}
    assert not found & planted
    assert not set(rules_of(lines, "sequence")) & set(bonds_of(shop, SEQUENCE))


def test_baskets_finds_the_planted_sequences(shop, sold):
    found = rules_of(sold, "sequence")
    family = family_of(shop)
    planted = set(bonds_of(shop, SEQUENCE))
    assert planted <= set(found)
    across = {rule for rule in found if family[rule[0]] != family[rule[1]]}
    assert across == {rule for rule in planted if family[rule[0]] != family[rule[1]]}
    assert len(across) == 1
    # substitutes follow each other: their customers buy one, then the other
    for one, other in bonds_of(shop, SUBSTITUTE):
        assert {(one, other), (other, one)} <= set(found)


def related_of(shop: Shop, lines: pd.DataFrame, has_names: bool) -> tuple[Related, Related]:
    ids = np.sort(shop.truth_products.product_id.astype(object).unique())
    names = shop.truth_products.set_index("product_id").product_name.reindex(ids).astype(object)
    if not has_names:
        names = pd.Series([None] * len(ids), dtype=object)
    frame = lines.assign(customer_id=lines.buyer_number)
    day = int(np.datetime64("2024-12-31", "D").astype(int))
    return related(Lines.of(frame, ids), day, similar(names))


def others_of(shop: Shop, found: Related, product: str) -> list[str]:
    ids = np.sort(shop.truth_products.product_id.astype(object).unique())
    place = int(np.searchsorted(ids, product))
    return list(ids[found.other[found.starts[place] : found.starts[place + 1]]])


def test_companions_of_a_product_begin_with_the_other_of_its_pair(shop, sold):
    companions, _ = related_of(shop, sold, has_names=True)
    for product, other in bonds_of(shop, PAIR):
        assert others_of(shop, companions, product)[0] == other
        assert others_of(shop, companions, other)[0] == product


def test_substitutes_are_found_by_their_customers_alone(shop, sold):
    companions, found = related_of(shop, sold, has_names=False)
    for one, other in bonds_of(shop, SUBSTITUTE):
        assert others_of(shop, found, one)[0] == other
        assert others_of(shop, found, other)[0] == one
        assert other not in others_of(shop, companions, one)
    assert len(found.other) <= 2 * len(bonds_of(shop, SUBSTITUTE)) + 2
    _, named = related_of(shop, sold, has_names=True)
    for one, other in bonds_of(shop, SUBSTITUTE):
        assert other in others_of(shop, named, one)


# Tastes --------------------------------------------------------------------------------------


def facts_of(shop: Shop, lines: pd.DataFrame, day: str) -> pd.DataFrame:
    """The columns of features.customer_baskets that families are predicted from, and the truth."""
    lines = lines.dropna(subset="customer_id").assign(
        family=lines.product_id.map(family_of(shop)), age=pd.Timestamp(day) - lines.ordered_date
    )
    lines["age"] = lines["age"].dt.days
    seen = lines[lines["age"] > 0]
    days = seen.groupby("customer_id")["age"]
    facts = pd.DataFrame(
        {"count_order_days_730d": days.nunique(), "days_since_last_order": days.min()}
    )
    by = ["customer_id", "family"]
    held = seen.groupby([*by, "age"]).size().reset_index(name="products")
    grouped = held.groupby(by)
    of_families = grouped.agg(
        days=("age", "size"), since=("age", "min"), products=("products", "sum")
    )
    of_families["last"] = grouped["products"].first()
    lists = of_families.reset_index().groupby("customer_id").agg(list)
    names = {"family": "families", "days": "family_order_days", "since": "family_days_since"}
    names |= {"products": "family_products", "last": "family_last_products"}
    coming = lines[lines["age"].between(-89, 0)]
    is_next = coming["age"] == coming.groupby("customer_id")["age"].transform("max")
    following = coming[is_next].groupby("customer_id")
    facts = facts.join(lists.rename(columns=names)).assign(as_of_date=pd.Timestamp(day))
    facts["next_families"] = following["family"].agg(lambda some: sorted(set(some)))
    facts["days_to_order"] = -following["age"].first()
    favourite = shop.truth_customers.set_index("customer_id").favourite_family
    return facts.join(favourite).reset_index()


def test_next_order_finds_tastes_and_does_better_than_what_the_shop_usually_orders(shop, sold):
    past = facts_of(shop, sold, "2024-06-01")
    today = facts_of(shop, sold, "2024-09-01")
    regular = today[(today["count_order_days_730d"] >= 5) & today["days_to_order"].notna()]
    assert len(regular) > 300
    place = {name: number for number, name in enumerate(sorted(FAMILIES))}
    precision, first_is_ordered, first_is_favourite = {}, {}, {}
    for method in (families.TREES, *families.BASELINES):
        fitted = families.fit(method, past, today, seed=7)
        assert fitted is not None
        chances = fitted.chances(regular)
        happened = families.is_in(regular["next_families"], fitted.shop.families)
        first = chances.argmax(axis=1)
        precision[method] = families.precision(chances, happened).mean()
        first_is_ordered[method] = happened[np.arange(len(first)), first].mean()
        favourite = regular["favourite_family"].map(place).to_numpy()
        first_is_favourite[method] = (first == favourite).mean()
    for method in (families.TREES, families.OWN_SHARE):
        assert precision[method] > precision[families.USUAL] + 0.02
        assert first_is_ordered[method] > 1.5 * first_is_ordered[families.USUAL]
        assert first_is_favourite[method] > 0.85  # 1 in 6 by chance


def test_tastes_stay_the_same_over_time(shop, sold):
    known = sold.dropna(subset="customer_id").merge(shop.truth_customers, on="customer_id")
    is_favourite = known.product_id.map(family_of(shop)) == known.favourite_family
    age_days = (known.ordered_at - known.arrived_at).dt.days
    shares = is_favourite.groupby(pd.cut(age_days, [-1, 30, 120, 240, 730]), observed=True).mean()
    # 4 in 10 lines, and about a sixth of the others
    assert shares.to_numpy() == pytest.approx(np.full(4, 0.5), abs=0.04)


# Folders of a version before there were bonds -------------------------------------------------


@pytest.mark.parametrize(("written_until", "added_days"), [("2023-06-29", 4), ("2023-08-30", 3)])
def test_a_folder_from_before_there_were_bonds_goes_on(tmp_path, written_until, added_days):
    """Its months until June stay as they are; July has bonds, and so do the months after."""
    days = (date.fromisoformat(written_until) - date(2023, 1, 1)).days
    old = Plan(5, 1_000, days, bonds_from=NEVER if days < 181 else 6)
    write_plan(old, tmp_path / "daily")
    for _ in range(added_days):
        day = write_next_day(tmp_path / "daily", seed=5, customers=1_000)
    expected = Plan(5, 1_000, (day - date(2023, 1, 1)).days, bonds_from=6)
    write_plan(expected, tmp_path / "expected")
    ours, theirs = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("daily", "expected")
    )
    assert ours == theirs
    with_bonds = replace(expected, bonds_from=0)
    write_plan(with_bonds, tmp_path / "with_bonds")
    june = (tmp_path / "with_bonds" / "order_items_2023-06.csv").read_bytes()
    assert ours["order_items_2023-06.csv"] != june
