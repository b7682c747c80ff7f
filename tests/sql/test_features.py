"""Features compared with a plain count of the marts, and the dates that a build recomputes."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from psycopg import sql

from ingest.batches import accept, close_build, refuse
from ingest.land import land
from ingest.sample_shop import generate, write
from ml_tasks.features.store import FeatureStore
from ml_tasks.products import run as products
from ml_tasks.profile import run as profile
from perennial import entities, feature_models, sources
from perennial.feature_models import SCORED_DATE
from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from tests.conftest import StartHome
from tests.steps import dbt, primary_keys
from tests.unit.planted_features import customer_stages

SCORED = date(2024, 2, 20)
LAYERS = ("--select", "staging", "intermediate", "marts", "features")
SENT = {table.name for table in sources.load("canonical").tables}
MODELS = [model for model in feature_models.load() if SENT.issuperset(model.needs)]
TABLES = [model.name for model in MODELS]
OF_SCORED_DATES = [model.name for model in MODELS if SCORED_DATE in model.gated_on]
UNTIL = {model.name: "known_on_date" for model in MODELS if "known_on_date" in model.column_names}


def let_in(home: Settings, files: Path | str) -> int:
    batch_id = land(home, SCORED, str(files), "test").batch_id
    assert batch_id is not None
    accept(home, batch_id, "test")
    return batch_id


def build(home: Settings, as_of_date: date, *options: str) -> None:
    dbt(home, as_of_date, "run", *LAYERS, *options)
    close_build(home)


def frame(home: Settings, query: str) -> pd.DataFrame:
    with connect(home, "transformer") as connection:
        return read_frame(connection, query)


def digests(home: Settings, table: str) -> dict[date, tuple[object, object]]:
    """For each date: the time its rows were written, and a digest of their contents."""
    until = UNTIL.get(table, "as_of_date")
    found = frame(
        home,
        f"select {until}, max(xmin::text::bigint), sum(hashtextextended(rows::text, 0)::numeric)"
        f" from features.{table} as rows group by {until}",
    )
    return {row[0]: (row[1], row[2]) for row in found.itertuples(index=False)}


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Sixteen months of the sample shop, features of a day two months before its last."""
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=5, customers=300, days=480), folder)
    let_in(settings, folder)
    build(settings, SCORED)
    return settings


@pytest.fixture(scope="module")
def orders(home: Settings) -> pd.DataFrame:
    return frame(home, "select * from marts.fct_orders where customer_id is not null").sort_values(
        ["ordered_at", "order_id"], ignore_index=True
    )


@pytest.fixture(scope="module")
def refunds(home: Settings) -> pd.DataFrame:
    return frame(home, "select * from marts.fct_refunds where customer_id is not null")


def between(events: pd.DataFrame, column: str, start: date, end: date) -> pd.DataFrame:
    return events[(events[column] >= start) & (events[column] < end)]


def net(orders: pd.DataFrame, refunds: pd.DataFrame, start: date, end: date) -> float:
    sold = between(orders, "ordered_date", start, end)["product_amount"].sum()
    returned = between(refunds, "refunded_date", start, end)["refund_amount"].sum()
    return max(float(sold - returned), 0.0)


def counted_snapshot(
    orders: pd.DataFrame, refunds: pd.DataFrame, items: pd.DataFrame, day: date
) -> dict[str, object]:
    """One customer's snapshot, counted window by window."""
    seen = orders[orders["ordered_date"] < day]
    returned = refunds[refunds["refunded_date"] < day]
    days = sorted(set(seen["ordered_date"]))
    gaps = pd.Series([(b - a).days for a, b in pairwise(days)], dtype=float)
    year_ago = day - timedelta(days=365)
    last_year = between(seen, "ordered_date", year_ago, day)
    season = (year_ago, year_ago + timedelta(days=90))
    values: dict[str, object] = {
        "days_since_first_order": (day - days[0]).days,
        "days_since_last_order": (day - days[-1]).days,
        "count_orders": len(seen),
        "count_order_days": len(days),
        "count_orders_season_last_year": len(between(seen, "ordered_date", *season)),
        "net_spend_amount": net(seen, returned, date.min, day),
        "net_spend_amount_season_last_year": net(seen, returned, *season),
        "gross_spend_amount": seen["product_amount"].sum(),
        "refund_amount": returned["refund_amount"].sum(),
        "refund_amount_365d": between(returned, "refunded_date", year_ago, day)[
            "refund_amount"
        ].sum(),
        "count_refunds": returned["refund_id"].nunique(),
        "avg_order_amount": seen["product_amount"].astype(float).mean(),
        "max_order_amount": seen["product_amount"].max(),
        "last_order_amount": seen["product_amount"].iloc[-1],
        "first_order_amount": seen["product_amount"].iloc[0],
        "avg_days_between_orders": gaps.mean(),
        "stddev_days_between_orders": gaps.std(),
        "count_products": items[items["ordered_date"] < day]["product_id"].nunique(),
        "count_units_365d": last_year["units"].sum(),
        "count_active_months_365d": len({(d.year, d.month) for d in last_year["ordered_date"]}),
    }
    for window_days in (30, 90, 180, 365):
        start = day - timedelta(days=window_days)
        values[f"count_orders_{window_days}d"] = len(between(seen, "ordered_date", start, day))
        values[f"net_spend_amount_{window_days}d"] = net(seen, returned, start, day)
    return values


def test_postgres_itself_keeps_rows_from_standing_twice(home: Settings) -> None:
    keys = primary_keys(home, "features")
    assert keys == {model.name: list(model.key) for model in MODELS}
    assert keys["customer_outcomes"] == ["as_of_date", "horizon_days", "customer_id"]


def stage_of(order_days: list[date], day: date) -> str:
    """A customer's stage at the start of a day."""
    days_ago = sorted({(day - one).days for one in order_days if one < day})
    return customer_stages.stage_of(days_ago)


@pytest.mark.parametrize("day", [SCORED, date(2024, 1, 1)], ids=["scored", "grid"])
def test_stages_are_what_their_description_says(
    home: Settings, orders: pd.DataFrame, day: date
) -> None:
    found = frame(home, f"select * from features.customer_stages where as_of_date = '{day}'")
    found = found.set_index("customer_id")
    by_customer = orders.groupby("customer_id")["ordered_date"].agg(lambda days: sorted(set(days)))
    known = by_customer[[days[0] < day for days in by_customer]]
    assert sorted(found.index) == sorted(known.index)
    expected = {customer: stage_of(days, day) for customer, days in known.items()}
    assert found["stage"].to_dict() == expected
    assert len(set(expected.values())) >= 5
    for customer, days in list(known.items())[:60]:
        row = found.loc[customer]
        began = day - timedelta(days=int(row["days_in_stage"]) - 1)
        assert stage_of(days, began) == row["stage"]
        if row["previous_stage"] is not None:
            assert stage_of(days, began - timedelta(days=1)) == row["previous_stage"]
        year = [one for one in days if 0 < (day - one).days <= 365]
        assert row["count_order_days_365d"] == len(year)
        assert row["count_order_days_275d"] == sum((day - one).days <= 275 for one in year)


@pytest.fixture(scope="module")
def lines(home: Settings) -> pd.DataFrame:
    found = frame(
        home,
        "select items.*, coalesce(product_family, 'unknown') as product_family, discontinued_date"
        " from marts.fct_order_items as items left join marts.dim_products using (product_id)",
    )
    numbers = ["units", "unit_price_amount", "line_amount"]
    return found.astype(dict.fromkeys(numbers, float))


def profile_of(
    orders: pd.DataFrame, refunds: pd.DataFrame, lines: pd.DataFrame, customer: str
) -> dict[str, object]:
    """One customer's profile, counted from all that is known; by the contract's sentences."""
    own = orders[orders["customer_id"] == customer]
    bought = lines[lines["customer_id"] == customer]
    returned = refunds[refunds["customer_id"] == customer]
    spend = float(own["product_amount"].sum())
    local = own["ordered_at"].dt.tz_convert("Europe/London")
    weekdays, hours = local.dt.dayofweek + 1, local.dt.hour
    shares = bought.groupby("product_family")["line_amount"].sum() / bought["line_amount"].sum()
    of_shop = lines.groupby("product_family")["line_amount"].sum() / lines["line_amount"].sum()
    family_price = (
        lines.groupby("product_family")["line_amount"].sum()
        / lines.groupby("product_family")["units"].sum()
    )
    usual = lines.groupby("product_id")["unit_price_amount"].quantile(0.5, interpolation="lower")
    is_reduced = bought["unit_price_amount"] <= 0.95 * bought["product_id"].map(usual) + 1e-9
    refund_amount = float(returned["refund_amount"].sum())
    return {
        "count_orders": len(own),
        "gross_spend_amount": spend,
        "net_spend_amount": spend - refund_amount,
        "avg_order_amount": spend / len(own),
        "favourite_weekday": weekdays.mode().min(),
        "favourite_weekday_share": (weekdays == weekdays.mode().min()).mean(),
        "favourite_hour": hours.mode().min(),
        "weekend_share_of_orders": (weekdays >= 6).mean(),
        "count_products": bought["product_id"].nunique(),
        "repeated_share_of_lines": 1 - bought["product_id"].nunique() / len(bought),
        "favourite_family_share": shares.max(),
        "leaning_share": (shares - of_shop.reindex(shares.index)).max(),
        "price_level": bought["line_amount"].sum()
        / (bought["units"] * bought["product_family"].map(family_price)).sum(),
        "reduced_share_of_spend": bought.loc[is_reduced, "line_amount"].sum()
        / bought["line_amount"].sum(),
        "count_refunds": returned["refund_id"].nunique(),
        "refund_rate": refund_amount / spend,
        "count_orders_28d": (own["ordered_date"] >= SCORED - timedelta(days=28)).sum(),
    }


def test_a_profile_is_what_a_plain_count_finds(
    home: Settings, orders: pd.DataFrame, refunds: pd.DataFrame, lines: pd.DataFrame
) -> None:
    """Of the day before the last two months of orders, none of which it may see."""
    with connect(home, "scorer") as connection:
        query = profile.QUESTION.query("profile", SCORED, profile.QUESTION.ruled(SCORED))
        found = FeatureStore(connection).read(query, {}).set_index("customer_id")
    seen = [orders[orders["ordered_date"] < SCORED], refunds[refunds["refunded_date"] < SCORED]]
    known = lines[lines["ordered_date"] < SCORED]
    assert sorted(found.index) == sorted(seen[0]["customer_id"].unique())
    for customer in found.index[:80]:
        expected = profile_of(seen[0], seen[1], known, customer)
        row = found.loc[customer]
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(float(value), abs=0.006), (customer, name)
        top = max(row["family_shares"], key=row["family_shares"].get)
        assert row["family_shares"][top] == pytest.approx(row["favourite_family_share"], abs=1e-4)
        assert ("refunded" in row["events_28d"]) == (
            row["last_refund_date"] >= pd.Timestamp(SCORED) - pd.Timedelta(days=28)
        )
    assert {len(events) for events in found["events_28d"]} >= {0, 1}


def product_of(lines: pd.DataFrame, refunds: pd.DataFrame, product: str) -> dict[str, object]:
    """One product, counted from all that is known; by the contract's sentences."""
    own = lines[lines["product_id"] == product]
    days = (pd.Timestamp(SCORED) - pd.to_datetime(own["ordered_date"])).dt.days
    units, amount = own["units"].astype(float), own["line_amount"].astype(float)
    now, before = days <= 91, (days > 91) & (days <= 182)
    last_year = (days > 364) & (days <= 455)
    price, old_price = (
        amount[window].sum() / units[window].sum() if window.any() else np.nan
        for window in (now, before)
    )
    year = own[(days <= 365) & own["customer_id"].notna()]
    days_of_buyers = year.groupby("customer_id")["ordered_date"].nunique()
    returned = refunds[refunds["product_id"] == product]
    ago = (pd.Timestamp(SCORED) - pd.to_datetime(returned["refunded_date"])).dt.days
    refund_amount = float(returned.loc[ago <= 365, "refund_amount"].sum())
    state = "selling" if days.min() <= 91 else "quiet"
    last_day = own["discontinued_date"].iloc[0]
    return {
        "sales_state": "discontinued"
        if last_day is not None and last_day < SCORED
        else "new"
        if days.max() <= 28
        else state,
        "days_since_last_sale": days.min(),
        "count_orders_91d": own.loc[now, "order_id"].nunique(),
        "sold_units_91d": units[now].sum(),
        "sold_amount_91d": amount[now].sum(),
        "sold_units_change_91d": _ratio(units[now].sum(), units[before].sum()) - 1,
        "sold_units_change_year": _ratio(units[now].sum(), units[last_year].sum()) - 1,
        "avg_unit_price_amount_91d": price,
        "unit_price_change_91d": price / old_price - 1,
        "count_customers_365d": len(days_of_buyers),
        "repeat_customer_share_365d": _ratio((days_of_buyers > 1).sum(), len(days_of_buyers)),
        "refund_amount_365d": refund_amount,
        "refund_rate_365d": _ratio(refund_amount, amount[days <= 365].sum()),
    }


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else np.nan


def test_a_product_is_what_a_plain_count_finds(home: Settings, lines: pd.DataFrame) -> None:
    """Of the day before the last two months of orders, none of which it may see."""
    with connect(home, "scorer") as connection:
        query = products.QUESTION.query("products", SCORED, products.QUESTION.ruled(SCORED))
        found = FeatureStore(connection).read(query, {}).set_index("product_id")
    known = lines[lines["ordered_date"] < SCORED]
    refunded = frame(home, f"select * from marts.fct_refunds where refunded_date < '{SCORED}'")
    assert sorted(found.index) == sorted(known["product_id"].unique())
    assert found["share_of_sales_91d"].sum() == pytest.approx(1)
    for product in found.index:
        row = found.loc[product]
        for name, value in product_of(known, refunded, product).items():
            if isinstance(value, str):
                assert row[name] == value, product
            else:
                expected = pytest.approx(float(value), abs=0.006, nan_ok=True)
                assert float(row[name]) == expected, (product, name)
    assert found["refund_amount_365d"].astype(float).gt(0).any()
    assert found["sold_units_change_year"].notna().any()


def test_a_product_of_the_running_week_is_described_and_wanted(
    home: Settings, lines: pd.DataFrame
) -> None:
    """On the day after its first sale: demand has no whole week of it yet."""
    first_days = lines[lines["ordered_date"] < SCORED].groupby("product_id")["ordered_date"].min()
    in_the_week = first_days[[day.isoweekday() < 7 for day in first_days]].sort_values()
    product, as_of_date = in_the_week.index[-1], in_the_week.iloc[-1] + timedelta(days=1)
    covered = entities.load("sold_product").covered_on(sql.Literal(as_of_date))
    with connect(home, "scorer") as connection:
        query = products.QUESTION.query("products", as_of_date, products.QUESTION.ruled(SCORED))
        found = FeatureStore(connection).read(query, {})["product_id"].tolist()
        wanted = [key for (key,) in connection.execute(covered)]
    assert product in found
    assert sorted(wanted) == sorted(found)


def test_a_campaigns_customers_are_what_a_plain_count_finds(
    home: Settings, orders: pd.DataFrame, refunds: pd.DataFrame
) -> None:
    """The two campaigns of 2023, from the staged contacts."""
    found = frame(home, "select * from features.campaign_customers")
    contacts = frame(home, "select * from staging.stg_canonical__contacts")
    keys = ["campaign", "customer_id"]
    pd.testing.assert_frame_equal(
        *(rows[[*keys, "is_held_out"]].sort_values(keys, ignore_index=True)
          for rows in (found, contacts))
    )  # fmt: skip
    assert sorted(set(found["campaign"])) == ["letter_2023", "voucher_2023"]
    assert set(found["as_of_date"]) == {SCORED}
    for row in found.itertuples():
        assert row.contacted_date in (date(2023, 6, 6), date(2023, 9, 6))
        own = orders[orders["customer_id"] == row.customer_id]
        returned = refunds[refunds["customer_id"] == row.customer_id]
        year_ago = row.contacted_date - timedelta(days=365)
        before = (year_ago, row.contacted_date)
        after = (row.contacted_date, row.contacted_date + timedelta(days=90))
        assert row.count_orders_365d_before == len(between(own, "ordered_date", *before))
        assert row.count_orders_90d == len(between(own, "ordered_date", *after))
        assert float(row.net_spend_amount_365d_before) == net(own, returned, *before)
        assert float(row.net_spend_amount_90d) == net(own, returned, *after)


def test_the_stage_after_is_that_of_ninety_days_later(home: Settings, orders: pd.DataFrame) -> None:
    found = frame(home, "select * from features.customer_stage_outcomes")
    by_customer = orders.groupby("customer_id")["ordered_date"].agg(lambda days: sorted(set(days)))
    assert found["known_on_date"].max() <= SCORED
    assert found["as_of_date"].nunique() > 5
    for row in found.sample(200, random_state=1).itertuples():
        assert row.known_on_date == row.as_of_date + timedelta(days=90)
        assert stage_of(by_customer[row.customer_id], row.known_on_date) == row.stage_after


@pytest.mark.parametrize("day", [SCORED, date(2023, 9, 1)], ids=["scored", "grid"])
def test_snapshots_are_what_a_plain_count_finds(
    home: Settings, orders: pd.DataFrame, refunds: pd.DataFrame, day: date
) -> None:
    items = frame(home, "select customer_id, product_id, ordered_date from marts.fct_order_items")
    found = frame(home, f"select * from features.customer_snapshots where as_of_date = '{day}'")
    known = sorted(orders[orders["ordered_date"] < day]["customer_id"].unique())
    assert len(known) > 50
    assert sorted(found["customer_id"]) == known
    found = found.set_index("customer_id")
    for customer in known:
        expected = counted_snapshot(
            *(events[events["customer_id"] == customer] for events in (orders, refunds, items)), day
        )
        for name, value in expected.items():
            got, want = float(found.at[customer, name] or 0), float(value)  # type: ignore[arg-type]
            if want != want:  # NaN: no values for a mean
                assert found.at[customer, name] is None or got != got, (customer, name)
            else:
                assert got == pytest.approx(want, abs=0.0051), (customer, name)


def test_outcomes_are_what_a_plain_count_finds(
    home: Settings, orders: pd.DataFrame, refunds: pd.DataFrame
) -> None:
    found = frame(home, "select * from features.customer_outcomes")
    grid_dates = found.groupby("horizon_days")["as_of_date"].unique().map(sorted).to_dict()
    assert grid_dates == {
        90: [date(2023, month, 1) for month in range(2, 12)],
        365: [date(2023, 2, 1)],
    }
    for row in found.sample(400, random_state=1).itertuples(index=False):
        mine = orders[orders["customer_id"] == row.customer_id]
        end = row.as_of_date + timedelta(days=row.horizon_days)
        assert row.known_on_date == end <= SCORED
        assert row.count_orders == len(between(mine, "ordered_date", row.as_of_date, end))
        returned = refunds[refunds["customer_id"] == row.customer_id]
        assert float(row.net_spend_amount) == pytest.approx(
            net(mine, returned, row.as_of_date, end), abs=0.0051
        )


def test_next_orders_are_what_a_plain_search_finds(home: Settings, orders: pd.DataFrame) -> None:
    found = frame(home, "select * from features.customer_next_orders")
    assert set(found["as_of_date"]) == {date(2024, 2, 1)}
    assert set(found["is_ordered"]) == {True, False}
    for row in found.sample(400, random_state=1).itertuples(index=False):
        mine = orders[orders["customer_id"] == row.customer_id]["ordered_date"]
        assert mine.min() < row.snapshot_date
        later = mine[(mine >= row.snapshot_date) & (mine < row.as_of_date)]
        end = later.min() if len(later) else row.as_of_date
        assert (row.duration_days, row.is_ordered) == (
            (end - row.snapshot_date).days,
            len(later) > 0,
        )


def test_a_new_day_adds_one_snapshot_and_touches_no_other(home: Settings) -> None:
    before = {table: digests(home, table) for table in TABLES}
    build(home, SCORED + timedelta(days=1))
    for table in TABLES:
        after = digests(home, table)
        assert {day: after[day] for day in before[table]} == before[table], table
        new = set(after) - set(before[table])
        assert new == ({SCORED + timedelta(days=1)} if table in OF_SCORED_DATES else set()), table


def test_a_late_file_remakes_what_saw_its_days_until_it_is_refused(
    home: Settings, orders: pd.DataFrame, tmp_path: Path
) -> None:
    before = {table: digests(home, table) for table in TABLES}
    touched, customer = date(2023, 8, 15), orders["customer_id"].iloc[0]
    (tmp_path / "orders_late.csv").write_text(
        "order_id,customer_id,ordered_at,country,order_type,refunded_order_id\n"
        f"late-1,{customer},{touched}T10:00:00,GB,sale,\n"
        f"late-2,{customer},2023-08-20T10:00:00,GB,refund,late-1\n"
    )
    (tmp_path / "order_items_late.csv").write_text(
        "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
        "1,late-1,late-product,3,10,product\n1,late-2,late-product,1,10,product\n"
    )
    batch_id = let_in(home, tmp_path)
    build(home, SCORED)
    for table in TABLES:
        after = digests(home, table)
        changed = {day for day in after if after[day] != before[table].get(day)}
        on_the_grid = {day for day in after if day.day == 1 or table in UNTIL}
        assert changed == {
            day for day in after if day == SCORED or (day in on_the_grid and day > touched)
        }, table
    with_late_file = {table: contents(digests(home, table)) for table in TABLES}
    build(home, SCORED, "--full-refresh")
    assert {table: contents(digests(home, table)) for table in TABLES} == with_late_file

    refuse(home, batch_id, "test")
    build(home, SCORED)
    assert {table: contents(digests(home, table)) for table in TABLES} == {
        table: contents(found) for table, found in before.items()
    }


def contents(found: dict[date, tuple[object, object]]) -> dict[date, object]:
    """Digests without the time of writing."""
    return {day: digest for day, (_, digest) in found.items()}


def test_a_date_that_has_no_rows_any_more_loses_the_old_ones(home: Settings) -> None:
    """dbt's own delete+insert would keep them: it deletes only keys among the new rows."""
    kept = {table: len(digests(home, table)) for table in TABLES}
    assert min(kept.values()) > 0
    batches = frame(home, "select distinct batch_id from ops.landed_files where status='accepted'")
    for batch_id in batches["batch_id"]:
        refuse(home, int(batch_id), "test")
    build(home, SCORED)
    assert SCORED not in digests(home, "customer_snapshots")
    assert SCORED not in digests(home, "product_weeks")
    assert SCORED not in digests(home, "shop_days")
    assert digests(home, "customer_outcomes") == {}


def test_unit_tests_of_the_models_that_read_marts_pass(home):
    output = dbt(
        home, SCORED, "test", "--select", "test_type:unit", "--exclude", "staging", "marts"
    )
    assert " PASS " in output
