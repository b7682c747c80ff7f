"""The feature store reads point in time, on the grid only, in a total order, with fixed types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import pandas as pd
import pytest
from psycopg import sql

from ml_tasks.features.snapshots import IS_SAMPLED
from ml_tasks.features.store import FeatureStore
from ml_tasks.features.tables import FeaturesMissingError
from perennial.settings import Settings
from perennial.warehouse import connect

# Snapshots of two grid dates and of one scored date, inserted without order.
SHOP = """
create table features.customer_snapshots (
    as_of_date date, customer_id text, count_orders integer, net_spend_amount numeric(18, 2),
    avg_days_between_orders double precision, country text, is_in_sample boolean);
insert into features.customer_snapshots values
    ('2011-06-01', 'b', 2, 0.10, 3.5, 'UK', true), ('2011-05-01', 'b', 1, 0.10, null, '', null),
    ('2011-06-15', 'a', 9, 9.00, 9, null, true), ('2011-05-01', 'z', 1, 1.00, 1, null, false),
    ('2011-06-01', 'a', 3, 12345678901234.56, 2, 'a "b", c', true);
create table features.customer_outcomes (
    as_of_date date, customer_id text, horizon_days integer, known_on_date date,
    count_orders integer, net_spend_amount numeric(18, 2));
insert into features.customer_outcomes values
    ('2011-06-01', 'a', 90, '2011-08-30', 1, 5.25), ('2011-06-01', 'b', 90, '2011-08-30', 0, 0),
    ('2011-05-01', 'b', 90, '2011-07-30', 2, 7.00), ('2011-05-01', 'b', 365, '2012-04-30', 4, 8),
    ('2011-06-15', 'a', 90, '2011-09-13', 7, 7.00);
create table features.customer_next_orders (
    as_of_date date, snapshot_date date, customer_id text, duration_days integer, is_ordered bool);
insert into features.customer_next_orders values
    ('2011-09-01', '2011-06-01', 'b', 92, false), ('2011-09-01', '2011-05-01', 'b', 3, true),
    ('2011-08-01', '2011-05-01', 'b', 92, false);
create table features.product_weeks (
    as_of_date date, product_id text, week_start_date date, sold_units integer,
    sold_amount numeric(18, 2), avg_unit_price_amount numeric(18, 4), product_family text);
insert into features.product_weeks values
    ('2011-09-10', 'p10', '2011-08-29', 1, 2.50, 2.5000, 'mugs'),
    ('2011-09-10', 'p1', '2011-08-29', 0, 0, null, null),
    ('2011-09-10', 'p1', '2011-08-22', 4, 6, 1.5, null),
    ('2011-09-01', 'p1', '2011-08-22', 5, 6, 1.2, null);
create table features.shop_days (
    as_of_date date, day_date date, count_customers integer, count_new_customers integer);
insert into features.shop_days values
    ('2011-09-01', '2011-08-30', 5, 1), ('2011-09-01', '2011-08-29', 4, 0),
    ('2011-09-01', '2011-04-21', 1, 1),
    ('2011-09-10', '2011-08-30', 6, 1);
"""


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    settings = start_home("online_retail")
    with connect(settings, "transformer") as connection:
        connection.execute(SHOP)  # type: ignore[arg-type]
    return settings


@pytest.fixture
def store(home: Settings) -> Iterator[FeatureStore]:
    with connect(home, "scorer") as connection:
        yield FeatureStore(connection)


def keys(frame: pd.DataFrame, *columns: str) -> list[tuple]:
    text = frame[list(columns)].astype(str)
    return list(text.itertuples(index=False, name=None))


def test_a_snapshot_keeps_values_nulls_and_empty_texts_apart(store):
    frame = store.snapshot(date(2011, 6, 1))
    assert frame.to_dict("list") == {
        "as_of_date": [pd.Timestamp("2011-06-01")] * 2,
        "customer_id": ["a", "b"],
        "count_orders": [3, 2],
        "net_spend_amount": [12345678901234.56, 0.1],
        "avg_days_between_orders": [2.0, 3.5],
        "country": ['a "b", c', "UK"],
    }
    may = store.snapshot(date(2011, 5, 1))
    assert may["country"].tolist() == ["", None]
    assert may["avg_days_between_orders"].isna().tolist() == [True, False]
    assert store.snapshot(date(2011, 6, 15))["country"].tolist() == [None]


def test_training_reads_the_grid_and_never_a_date_that_was_merely_scored(store):
    labelled = store.labelled_snapshots(date(2012, 1, 1), 90)
    assert keys(labelled, "as_of_date", "customer_id") == [
        ("2011-05-01", "b"), ("2011-06-01", "a"), ("2011-06-01", "b"),
    ]  # fmt: skip


def test_training_reads_the_sample_and_scoring_everybody(home, store):
    with connect(home, "scorer") as connection:
        of_training = FeatureStore(connection, for_training=True)
        assert of_training.snapshot(date(2011, 5, 1))["customer_id"].tolist() == ["b"]
    assert store.snapshot(date(2011, 5, 1))["customer_id"].tolist() == ["b", "z"]


def test_an_outcome_is_seen_from_the_day_it_was_known(store):
    day_before = store.labelled_snapshots(date(2011, 8, 29), 90)
    day_itself = store.labelled_snapshots(date(2011, 8, 30), 90)
    assert keys(day_before, "as_of_date", "customer_id") == [("2011-05-01", "b")]
    assert keys(day_itself, "as_of_date", "customer_id", "outcome_net_spend_amount") == [
        ("2011-05-01", "b", "7.0"), ("2011-06-01", "a", "5.25"), ("2011-06-01", "b", "0.0"),
    ]  # fmt: skip
    assert day_itself["outcome_count_orders"].tolist() == [2, 1, 0]
    year = store.labelled_snapshots(date(2012, 4, 30), 365)
    assert year["outcome_count_orders"].tolist() == [4]


def test_next_orders_are_those_that_were_known_then(store):
    frame = store.next_orders(date(2011, 9, 1))
    assert keys(frame, "snapshot_date", "customer_id", "duration_days", "is_ordered") == [
        ("2011-05-01", "b", "3", "True"), ("2011-06-01", "b", "92", "False"),
    ]  # fmt: skip
    assert frame["count_orders"].tolist() == [1, 2]
    assert "as_of_date" not in frame


def test_next_orders_of_a_sample_are_of_whole_customers(store):
    sample = store.next_orders(date(2011, 9, 1), max_customers=1)
    # the newest date has one customer, which is within the limit of one, so all are read
    assert keys(sample, "snapshot_date", "customer_id") == [
        ("2011-05-01", "b"), ("2011-06-01", "b"),
    ]  # fmt: skip


def test_a_sample_is_of_whole_customers_and_knows_how_long_the_shop_was_watched(store):
    # md5('a') begins with 0cc175b9, md5('b') with 92eb5ffe: only the second is even
    sample = store.sample_for(date(2011, 8, 30), 90, max_rows=2)
    assert sample.one_in == 2
    labelled = sample.labelled_snapshots(date(2011, 8, 30), 90)
    assert keys(labelled, "as_of_date", "customer_id", "days_watched") == [
        ("2011-05-01", "b", "10"), ("2011-06-01", "b", "41"),
    ]  # fmt: skip
    snapshot = sample.snapshot(date(2011, 6, 1))
    assert keys(snapshot, "customer_id", "days_watched") == [("b", "41")]
    assert len(store.snapshot(date(2011, 6, 1))) == 2


def test_a_shop_that_training_can_hold_is_read_whole(store):
    sample = store.sample_for(date(2011, 8, 30), 90, max_rows=3)
    assert sample.one_in == 1
    whole = sample.snapshot(date(2011, 6, 1))
    assert keys(whole, "customer_id", "days_watched") == [("a", "41"), ("b", "41")]


def test_training_reads_the_last_three_years(store):
    assert not store.labelled_snapshots(date(2014, 7, 28), 90).empty
    # known on 2011-08-30, three years ago
    assert store.labelled_snapshots(date(2014, 8, 29), 90).empty


def test_a_grown_shops_sample_is_part_of_the_one_before(store):
    ids = sql.SQL("select 'c' || number as customer_id from generate_series(1, 20000) as number")
    kept = {}
    for k in (1, 2, 4, 8):
        query = sql.SQL("select customer_id from ({}) as snapshots where {}").format(
            ids, IS_SAMPLED
        )
        kept[k] = {row[0] for row in store.connection.execute(query, {"one_in": k})}
    assert kept[8] < kept[4] < kept[2] < kept[1]
    # four standard deviations of a binomial count
    assert len(kept[4]) == pytest.approx(5_000, abs=4 * (20_000 * 0.25 * 0.75) ** 0.5)


def test_product_weeks_are_those_of_the_date(store):
    frame = store.product_weeks(date(2011, 9, 10))
    assert keys(frame, "product_id", "week_start_date", "sold_units") == [
        ("p1", "2011-08-22", "4"), ("p1", "2011-08-29", "0"), ("p10", "2011-08-29", "1"),
    ]  # fmt: skip
    assert frame["avg_unit_price_amount"].tolist()[::2] == [1.5, 2.5]


def test_a_date_in_between_is_derived_from_a_later_one(store):
    frame = store.next_orders(date(2011, 8, 20))  # no rows for this date; 2011-09-01 has more
    assert keys(frame, "snapshot_date", "customer_id", "duration_days", "is_ordered") == [
        ("2011-05-01", "b", "3", "True"), ("2011-06-01", "b", "80", "False"),
    ]  # fmt: skip
    weeks = store.product_weeks(date(2011, 9, 4))
    assert keys(weeks, "product_id", "week_start_date", "sold_units") == [("p1", "2011-08-22", "4")]


@pytest.mark.parametrize("method", ["snapshot", "next_orders", "product_weeks"])
def test_a_date_that_nothing_was_made_for_is_refused(store, method):
    with pytest.raises(FeaturesMissingError, match="date"):
        getattr(store, method)(date(2011, 9, 11))


def test_shop_days_are_those_of_the_date(store):
    frame = store.shop_days(date(2011, 9, 1))
    assert keys(frame, "day_date", "count_customers", "count_new_customers") == [
        ("2011-04-21", "1", "1"), ("2011-08-29", "4", "0"), ("2011-08-30", "5", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("snapshot", (date(2000, 1, 1),)),
        ("labelled_snapshots", (date(2000, 1, 1), 90)),
        ("next_orders", (date(2000, 1, 1),)),
        ("product_weeks", (date(2000, 1, 1),)),
        ("shop_days", (date(2000, 1, 1),)),
    ],
)
def test_a_frame_without_rows_has_the_columns_and_types_of_one_with_rows(store, method, arguments):
    later = (date(2011, 9, 10) if method == "product_weeks" else date(2011, 6, 1),)
    if method == "labelled_snapshots":
        later = (date(2011, 9, 1), 90)
    if method in ("next_orders", "shop_days"):
        later = (date(2011, 9, 1),)
    empty, full = (getattr(store, method)(*a) for a in (arguments, later))
    assert (len(empty), len(full) > 0) == (0, True)
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
