"""The gate of rejects on a shop counted with pandas: silent if sound, a warning if spoilt.

The faults follow public cases. Staging may read some of them by now; the gate must detect whatever
staging does not read.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from expectations.reduced_orders import Reduced, add_reduced
from expectations.reject_reasons import (
    REDUCED,
    SEVERAL_FAULTS,
    kind_of,
    no_fault_pattern,
    sent_again_pattern,
)
from expectations.reject_shares import Finding, Key, Level, findings_of
from expectations.rejects import LAST, MONTH, _findings, masked
from ingest.sample_shop import generate

DUPLICATE, FAULT, ZERO = "exact duplicate", "unit_price_amount is no number", "price is zero: gift"


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Product lines of some 1,900 orders: order_id, product_id, country, month, amount."""
    shop = generate(seed=11, customers=400, days=730)
    sales = shop.orders[shop.orders["order_type"] == "sale"]
    found = shop.order_items.merge(sales, on="order_id")
    found = found[found["line_type"] == "product"].copy()
    found["month"] = found["ordered_at"].dt.strftime("%Y-%m")
    found["amount"] = found["quantity"] * found["unit_price_amount"]
    assert found["order_id"].nunique() > 1_500
    return found


def levels(lines: pd.DataFrame, **rejected: pd.Series) -> dict[Key, Level]:
    """Levels of a shop that sends all lines; each reason's mask marks its rejects."""
    found = _by_group(lines, "")
    for reason, mask in rejected.items():
        found |= _by_group(lines[mask], reason)
    return found


def _by_group(lines: pd.DataFrame, reason: str) -> dict[Key, Level]:
    whole = Level(lines["order_id"].nunique(), lines["amount"].sum())
    found = {Key("all", "", reason): whole} if len(lines) else {}
    for dimension, column in {
        "country": "country",
        "product": "product_id",
        "month": "month",
    }.items():
        for group, of_group in lines.groupby(column):
            level = Level(of_group["order_id"].nunique(), of_group["amount"].sum())
            found[Key(dimension, str(group), reason)] = level
    return found


def test_a_sound_shop_is_quiet(lines: pd.DataFrame) -> None:
    few = lines["order_id"].isin(lines["order_id"].unique()[::100])  # 1 order in 100
    doubled = lines["order_id"].isin(lines["order_id"].unique()[::3])
    given = lines["order_id"].isin(lines["order_id"].unique()[1::4])
    assert findings_of(levels(lines), {}) == []
    assert findings_of(levels(lines, **{FAULT: few, DUPLICATE: doubled, ZERO: given}), {}) == []


def _dear(lines: pd.DataFrame) -> pd.Series:
    """The few lines with most of the money: prices with a comma from 1,000 on."""
    return lines["amount"] >= lines["amount"].quantile(0.98)


def _by_weight(lines: pd.DataFrame) -> pd.Series:
    """Five products sold by weight, each too small to be a group by itself."""
    sold = lines["product_id"].value_counts()
    return lines["product_id"].isin(sold.index[(sold <= 29) & (sold >= 15)][:5])


def _one_country(lines: pd.DataFrame) -> pd.Series:
    """The smallest country that is a group by itself, with about 3 orders in 100."""
    orders = lines.groupby("country")["order_id"].nunique()
    return lines["country"] == orders[orders >= 30].idxmin()


@pytest.mark.parametrize(
    ("spoil", "severity", "group"),
    [
        pytest.param(_dear, "critical", None, id="woocommerce#7996: thousands separators"),
        pytest.param(_by_weight, "critical", "product", id="medusa#13734: sold by weight"),
        pytest.param(_one_country, "critical", "country", id="one country in another encoding"),
        pytest.param(
            lambda ls: ls["month"] == "2023-05", "critical", "month", id="a month is lost"
        ),
        pytest.param(
            lambda ls: ls["order_id"].isin(ls["order_id"].unique()[::33]),
            "warning",
            None,
            id="3 orders in 100, anywhere",
        ),
        pytest.param(
            lambda ls: ls["order_id"].isin(ls["order_id"].unique()[::10]),
            "critical",
            None,
            id="woocommerce#25992: guests rejected as customer 0",
        ),
    ],
)
def test_what_staging_does_not_read_is_reported(
    lines: pd.DataFrame,
    spoil: Callable[[pd.DataFrame], pd.Series],
    severity: str,
    group: str | None,
) -> None:
    if spoil is _dear:  # 70 % of the money in 2 % of the lines
        lines = lines.assign(amount=lines["amount"].where(~_dear(lines), lines["amount"] * 15))
    mask = spoil(lines)
    (found,) = findings_of(levels(lines, **{FAULT: mask}), {})
    assert (found.reason, found.severity) == (FAULT, severity)
    assert found.whole.lost == (
        lines.loc[mask, "order_id"].nunique(),
        pytest.approx(lines.loc[mask, "amount"].sum()),
    )
    assert group is None or group in {share.dimension for share in found.groups}


def test_a_reason_that_nobody_listed_counts_as_a_fault(lines: pd.DataFrame) -> None:
    tenth = lines["order_id"].isin(lines["order_id"].unique()[::10])
    found = findings_of(levels(lines, **{"invented yesterday": tenth}), {})
    assert [f.severity for f in found] == ["critical"]
    assert kind_of("quantity is no number").remedy.startswith("write numbers")
    assert kind_of("exact duplicate of another").is_sent_again


def test_sent_again_is_what_postgres_takes_for_it() -> None:
    pattern = sent_again_pattern()
    assert pd.Series(["exact duplicate", "replaced by a later row of the same key"]).str.match(
        pattern
    ).all()  # fmt: skip
    assert not pd.Series(["price is zero: exact duplicate", FAULT]).str.match(pattern).any()


def test_faults_are_what_postgres_takes_for_them() -> None:
    pattern = no_fault_pattern()
    no_fault = ["exact duplicate", "price is zero: exact duplicate", "order was cancelled"]
    assert pd.Series(no_fault).str.match(pattern).all()
    faults = [FAULT, "could not be read: 3 fields, expected 6", "no order_id"]
    assert not pd.Series(faults).str.match(pattern).any()


def of_reasons(sent: float, **lost: float) -> dict[Key, Level]:
    """Levels of a shop that sent `sent` orders of 10, and lost some for each reason."""
    found = {Key("all", "", ""): Level(sent, 10 * sent)}
    return found | {Key("all", "", name): Level(n, 10 * n) for name, n in lost.items()}


def test_many_small_faults_are_reported_as_one_large_one() -> None:
    """A torn export falls into many reasons: seven of 1.8 % and two of 1.9 % are a sixth."""
    torn = {f"fault {n}": 18.0 for n in range(7)} | {f"fault {n}": 19.0 for n in (7, 8)}
    (found,) = findings_of(of_reasons(1_000, **torn, **{SEVERAL_FAULTS: 164}), {})
    assert (found.reason, found.severity) == (SEVERAL_FAULTS, "critical")
    assert found.whole.of_orders == pytest.approx(0.164)


@pytest.mark.parametrize(
    ("alone", "several", "severities"),
    [
        (60, 65, {FAULT: "critical"}),  # one reason explains all
        (30, 65, {FAULT: "warning", SEVERAL_FAULTS: "critical"}),  # the sum is graver
        (60, 160, {FAULT: "critical", SEVERAL_FAULTS: "critical"}),  # most is elsewhere
        (15, 15, {}),
    ],
)
def test_the_sum_of_faults_is_reported_once(
    alone: float, several: float, severities: dict[str, str]
) -> None:
    found = findings_of(of_reasons(1_000, **{FAULT: alone, SEVERAL_FAULTS: several}), {})
    assert {f.reason: f.severity for f in found} == severities


def test_orders_that_come_again_with_less_are_a_fault() -> None:
    """60 of 1,000 invoices of 100 come again with one line of ten: 5,400 of 100,000 are gone."""
    levels = {
        Key("all", "", ""): Level(1_000, 94_600),
        Key("country", "Norway", ""): Level(60, 600),
    }
    add_reduced(levels, [Reduced(f"o{n}", "Norway", None, 90) for n in range(60)])
    (found,) = findings_of(levels, {})
    assert (found.reason, found.severity) == (REDUCED, "critical")
    assert found.whole.lost == (60, 5_400)
    assert found.whole.sent == (1_000, 100_000)
    assert [share.group for share in found.groups] == ["Norway"]
    few = {Key("all", "", ""): Level(1_000, 100_000)}
    add_reduced(few, [Reduced(f"o{n}", None, None, 90) for n in range(15)])
    assert findings_of(few, {}) == []


CANCELLED = "order was cancelled"


@pytest.mark.parametrize(
    ("past", "lost", "severity"),
    [
        (10, 33, "warning"),  # 1 in 100 so far, now a third
        (10, 12, "warning"),
        (10, 9, None),  # too few
        (60, 17, None),  # three times the usual number does not warn yet
        (60, 19, "warning"),
        (300, 33, None),  # a shop that always cancelled a third
        (300, 70, "critical"),  # never hidden by a past that is known
    ],
)
def test_a_habit_far_above_the_shops_own_past_warns(
    past: float, lost: float, severity: str | None
) -> None:
    before = of_reasons(1_000, **{CANCELLED: past})
    found = findings_of(of_reasons(1_100, **{CANCELLED: past + lost}), before)
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_a_habit_that_takes_a_whole_country_warns() -> None:
    now = of_reasons(1_000, **{CANCELLED: 40}) | {
        Key("country", "Norway", ""): Level(40, 400),
        Key("country", "Norway", CANCELLED): Level(40, 400),
    }
    (found,) = findings_of(now, {})
    assert (found.severity, [share.group for share in found.groups]) == ("warning", ["Norway"])


def _day(orders: float, rejected: float, before: dict[Key, Level] | None = None) -> list[Finding]:
    """Findings for a day of `orders` orders of 10, some rejected, after `before`."""
    past = before or {}
    key = Key("all", "", FAULT)
    sent = past.get(key._replace(reason=""), Level())
    lost = past.get(key, Level())
    now = {
        key._replace(reason=""): Level(sent.orders + orders, sent.amount + 10 * orders),
        key: Level(lost.orders + rejected, lost.amount + 10 * rejected),
    }
    return findings_of(now, past)


def history(orders: float, rejected: float) -> dict[Key, Level]:
    """Levels of a shop that sent `orders` orders, `rejected` of them rejected."""
    key = Key("all", "", FAULT)
    return {
        key._replace(reason=""): Level(orders, 10 * orders),
        key: Level(rejected, 10 * rejected),
    }


@pytest.mark.parametrize(
    ("orders", "rejected", "past", "severity"),
    [
        # a first load, or a shop without such a past: only the bounds count
        (1_000, 0, (0, 0), None),
        (1_000, 19, (0, 0), None),
        (1_000, 21, (0, 0), "warning"),
        (1_000, 51, (0, 0), "critical"),
        (20, 2, (10_000, 0), None),  # too few
        (20, 5, (10_000, 0), "warning"),
        (20, 20, (10_000, 0), "critical"),  # a day that is lost whole
        # a shop that always lost a tenth warns at a third, and holds at more
        (1_000, 120, (10_000, 1_000), None),
        (1_000, 250, (10_000, 1_000), None),
        (1_000, 310, (10_000, 1_000), "critical"),
    ],
)
def test_a_builds_rejects_are_compared_with_the_shops_past(
    orders: float, rejected: float, past: tuple[int, int], severity: str | None
) -> None:
    found = _day(orders, rejected, history(*past) if past[0] else None)
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_orders_that_counted_and_do_no_longer_are_lost_too() -> None:
    """A dump replaces one of the same orders: nothing new came, and three in ten are gone."""
    before = history(1_000, 0)
    (found,) = findings_of(before | {Key("all", "", FAULT): Level(300, 3_000)}, before)
    assert (found.severity, found.whole.of_orders) == ("critical", 0.3)


def test_one_order_of_much_money_warns_and_stops_nothing() -> None:
    key = Key("all", "", FAULT)
    now = {key._replace(reason=""): Level(500, 10_000), key: Level(1, 4_000)}
    assert [f.severity for f in findings_of(now, {})] == ["warning"]


def test_a_months_stop_is_not_hidden_by_what_each_day_warns_of() -> None:
    """3 % of the last day's orders, which warns; 9 % of those of four weeks, which stops."""
    now, day, month = history(11_000, 903), history(10_000, 873), history(1_000, 3)
    ((found, anchor),) = _findings(now, {LAST: day, MONTH: month})
    assert (found.severity, anchor, found.whole.lost.orders) == ("critical", MONTH, 900)
    ((found, anchor),) = _findings(now, {LAST: history(10_000, 3), MONTH: month})
    assert (found.severity, anchor) == ("critical", LAST)


@pytest.mark.parametrize(
    ("key", "shown"),
    [("O202301-0000031", "O20...031"), ("17", "..."), ("1234", "1...4"), ("", "row")],
)
def test_ids_are_masked_in_the_middle(key: str, shown: str) -> None:
    assert masked(key) == shown
