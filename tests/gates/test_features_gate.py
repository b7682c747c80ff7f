"""The gate in front of the models passes a good shop and stops at each planted fault."""

from __future__ import annotations

from datetime import date

import pytest

from expectations import features
from expectations.features import gate_features
from expectations.results import GateFailed
from perennial import feature_models
from perennial.settings import Settings
from perennial.warehouse import connect

AS_OF = date(2011, 9, 10)

# Customers 1 to 20 ordered on 2011-01-n and 2011-09-03; products 1 to 3 sell since 2011-08-01.
GOOD_SHOP = """
drop table if exists marts.fct_orders, features.customer_snapshots, features.customer_outcomes,
    features.customer_next_orders, features.product_weeks, features.shop_days cascade;
create table marts.fct_orders as
    select 'c' || n as customer_id, false as is_guest, day as ordered_date
    from generate_series(1, 20) as n,
        lateral (values (date '2010-12-31' + n), (date '2011-09-03')) as days (day)
    union all select null, true, date '2011-09-09'
    union all select 'later', false, date '2011-09-10';
create table features.customer_snapshots as
    select as_of_date, 'c' || n as customer_id,
        as_of_date - (date '2010-12-31' + n) as days_since_first_order,
        7 as days_since_last_order, 2 as count_orders, 2 as count_order_days,
        1 as count_orders_30d, 1 as count_orders_90d, 1 as count_orders_180d,
        2 as count_orders_365d, 20.00::numeric(18, 2) as net_spend_amount,
        10.00::numeric(18, 2) as net_spend_amount_30d,
        10.00::numeric(18, 2) as net_spend_amount_90d,
        10.00::numeric(18, 2) as net_spend_amount_180d,
        20.00::numeric(18, 2) as net_spend_amount_365d, 0 as count_orders_season_last_year,
        0.00::numeric(18, 2) as net_spend_amount_season_last_year,
        20.00::numeric(18, 2) as gross_spend_amount, 0.00::numeric(18, 2) as refund_amount,
        0.00::numeric(18, 2) as refund_amount_365d, 0 as count_refunds,
        10.00::numeric(18, 2) as avg_order_amount, 10.00::numeric(18, 2) as max_order_amount,
        10.00::numeric(18, 2) as last_order_amount, 10.00::numeric(18, 2) as first_order_amount,
        240.0::double precision as avg_days_between_orders,
        null::double precision as stddev_days_between_orders,
        1 as count_products, 2 as count_units_365d, 2 as count_active_months_365d, 'UK' as country,
        true as is_in_sample
    from generate_series(1, 20) as n,
        lateral (values (date '2011-09-10'), (date '2011-06-01')) as dates (as_of_date);
create table features.customer_outcomes as
    select date '2011-06-01' as as_of_date, 'c' || n as customer_id, 90 as horizon_days,
        date '2011-08-30' as known_on_date, 0 as count_orders,
        0.00::numeric(18, 2) as net_spend_amount
    from generate_series(1, 20) as n;
create table features.customer_next_orders as
    select date '2011-09-01' as as_of_date, snapshot_date, 'c' || n as customer_id,
        date '2011-09-01' - snapshot_date as duration_days, false as is_ordered
    from generate_series(1, 20) as n,
        lateral (values (date '2011-02-01'), (date '2011-06-01')) as dates (snapshot_date);
create table features.shop_days as
    select as_of_date, day_date, 20 as count_customers, 1 as count_new_customers
    from (values (date '2011-01-01'), (date '2011-08-31')) as days (day_date),
        lateral (values (date '2011-09-10'), (date '2011-09-01')) as dates (as_of_date);
create table features.product_weeks as
    select as_of_date, 'p' || n as product_id, week::date as week_start_date, 5 as sold_units,
        10.00::numeric(18, 2) as sold_amount, 2.0000::numeric(18, 4) as avg_unit_price_amount,
        'mugs'::text as product_family
    from generate_series(1, 3) as n,
        generate_series(timestamp '2011-08-01', timestamp '2011-08-29', interval '7 days') as week,
        lateral (values (date '2011-09-10'), (date '2011-09-01')) as dates (as_of_date)
    where week::date + 7 <= as_of_date
"""


BY_HAND = {
    *("customer_snapshots", "customer_outcomes", "customer_next_orders"),
    *("product_weeks", "shop_days"),
}
MODELS = [model for model in feature_models.load() if not model.needs]
DATES = {"scored_date": AS_OF, "training_date": date(2011, 9, 1), "grid_date": date(2011, 6, 1)}


def planted(model: feature_models.FeatureModel) -> str:
    """A table of a feature model that only its properties describe: a good row for each date."""

    def value(column: feature_models.FeatureColumn, day: date) -> str:
        if column.data_type.endswith("[]"):
            return "'{}'"
        if column.data_type == "date":
            return f"date '{day}'"
        if column.data_type in ("text", "boolean"):
            return "'c1'" if column.data_type == "text" else "true"
        return str(column.minimum or 1)

    columns = ", ".join(f"{column.name} {column.data_type}" for column in model.columns)
    rows = ", ".join(
        f"({', '.join(value(column, DATES[kind]) for column in model.columns)})"
        for kind in model.gated_on
    )
    table = f"features.{model.name}"
    return (
        f"drop table if exists {table} cascade; create table {table} ({columns});"
        f" insert into {table} values {rows};"
    )


@pytest.fixture(autouse=True)
def good_shop(gate_home: Settings) -> None:
    others = [planted(model) for model in MODELS if model.name not in BY_HAND]
    run_as_transformer(gate_home, "".join([*others, GOOD_SHOP]))


def run_as_transformer(settings: Settings, statements: str) -> None:
    with connect(settings, "transformer") as connection:
        connection.execute(statements)  # type: ignore[arg-type]


def test_a_good_shop_passes_without_a_warning(gate_home, results):
    summary = gate_features(gate_home, AS_OF, "good shop")
    assert summary["warnings"] == []
    rows = results("good shop", "table_name", "success")
    assert len(rows) == summary["rule_count"]
    assert {table: True for table, _ in rows} == dict(rows)
    assert {table for table, _ in rows} == {f"features.{model.name}" for model in MODELS}


SNAPSHOTS, OUTCOMES = "features.customer_snapshots", "features.customer_outcomes"
NEXT_ORDERS, WEEKS = "features.customer_next_orders", "features.product_weeks"
DAYS = "features.shop_days"


@pytest.mark.parametrize(
    ("table", "fault", "rule"),
    [
        # snapshots
        (SNAPSHOTS, "delete from {table}", "row_count"),
        (SNAPSHOTS, "update {table} set as_of_date = '2011-09-09'", "row_count"),
        (SNAPSHOTS, "delete from {table} where customer_id = 'c3'", "as many customers as ordered"),
        (SNAPSHOTS, "update {table} set customer_id = null where customer_id = 'c3'",
         "not_be_null"),
        (SNAPSHOTS, "update {table} set customer_id = 'c1' where customer_id = 'c3'", "unique: "),
        (SNAPSHOTS, "update {table} set days_since_last_order = 0", "days_since_last_order"),
        (SNAPSHOTS, "update {table} set days_since_last_order = null", "days_since_last_order"),
        (SNAPSHOTS, "update {table} set days_since_first_order = 6",
         "days_since_first_order, days_since_last_order"),
        (SNAPSHOTS, "update {table} set count_orders = 0, count_order_days = 0", "count_orders"),
        (SNAPSHOTS, "update {table} set count_orders_30d = 2",
         "count_orders_90d, count_orders_30d"),
        (SNAPSHOTS, "update {table} set count_orders_365d = 3", "count_orders, count_orders_365d"),
        (SNAPSHOTS, "update {table} set count_order_days = 3", "count_orders, count_order_days"),
        (SNAPSHOTS, "update {table} set net_spend_amount = -1", "net_spend_amount"),
        (SNAPSHOTS, "update {table} set net_spend_amount = null", "net_spend_amount"),
        (SNAPSHOTS, "update {table} set refund_amount = -1", "refund_amount"),
        (SNAPSHOTS, "delete from {table} where as_of_date = '2011-06-01'", "row_count"),
        # outcomes
        (OUTCOMES, "delete from {table}", "row_count"),
        (OUTCOMES, "insert into {table} select * from {table} limit 1", "unique: "),
        (OUTCOMES, "update {table} set horizon_days = 365, known_on_date = '2012-05-31'",
         "shortest window"),
        (OUTCOMES, "update {table} set horizon_days = 60, known_on_date = '2011-07-31'", "in_set"),
        (OUTCOMES, "update {table} set known_on_date = '2011-08-29'", "as_of_date . horizon_days"),
        (OUTCOMES, "update {table} set count_orders = -1", "count_orders"),
        (OUTCOMES, "update {table} set net_spend_amount = null", "net_spend_amount"),
        # next orders
        (NEXT_ORDERS, "delete from {table}", "row_count"),
        (NEXT_ORDERS, "insert into {table} select * from {table} limit 1", "unique: "),
        (NEXT_ORDERS, "update {table} set is_ordered = null", "is_ordered"),
        (NEXT_ORDERS, "update {table} set duration_days = -1", "before as_of_date"),
        # ordered on the knowledge date itself: not known yet
        (NEXT_ORDERS, "update {table} set is_ordered = true", "before as_of_date"),
        (NEXT_ORDERS, "update {table} set duration_days = duration_days - 1", "observed until"),
        # product weeks
        (WEEKS, "delete from {table} where as_of_date = '2011-09-10'", "row_count"),
        (WEEKS, "delete from {table} where as_of_date = '2011-09-01'", "row_count"),
        (WEEKS, "insert into {table} select * from {table} where product_id = 'p1'", "unique: "),
        (WEEKS, "update {table} set week_start_date = week_start_date + 1", "begin on Monday"),
        (WEEKS, "delete from {table} where week_start_date = '2011-08-15'", "every week"),
        (WEEKS, "delete from {table} where week_start_date = '2011-08-29'", "every week"),
        (WEEKS, "insert into {table} select as_of_date, product_id, '2011-09-05', 1, 1, 1"
            " from {table} where week_start_date = '2011-08-29'", "every week"),  # not over yet
        (WEEKS, "update {table} set sold_units = -1", "sold_units"),
        (WEEKS, "update {table} set sold_amount = null", "sold_amount"),
        # days of the shop
        (DAYS, "delete from {table} where as_of_date = '2011-09-10'", "row_count"),
        (DAYS, "insert into {table} select * from {table} limit 1", "unique: "),
        (DAYS, "update {table} set count_customers = 0, count_new_customers = 0",
         "count_customers"),
        (DAYS, "update {table} set count_new_customers = 21",
         "count_customers, count_new_customers"),
        (DAYS, "update {table} set day_date = as_of_date where day_date = '2011-08-31'",
         "before the date"),
    ],
)  # fmt: skip
def test_a_planted_fault_stops_the_run(gate_home, table, fault, rule):
    run_as_transformer(gate_home, fault.format(table=table))
    with pytest.raises(GateFailed, match=rf"{table}.*{rule}"):
        gate_features(gate_home, AS_OF, "fault")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (f"features.{model.name}", column)
        for model in MODELS
        # one column that a rule needs, and one without a rule
        for column in (model.column_names[1], model.column_names[-1])
    ],
)
def test_a_missing_column_stops_the_run(gate_home, table, column):
    run_as_transformer(gate_home, f"alter table {table} drop column {column}")
    with pytest.raises(GateFailed, match=rf"{table}.*{column}"):
        gate_features(gate_home, AS_OF, "missing column")


def test_a_missing_table_stops_the_run(gate_home):
    run_as_transformer(gate_home, f"drop table {SNAPSHOTS}")
    with pytest.raises(GateFailed, match="does not exist"):
        gate_features(gate_home, AS_OF, "no snapshots")


def test_a_shop_with_an_old_newest_order_warns(gate_home):
    run_as_transformer(
        gate_home,
        f"update {SNAPSHOTS} set days_since_last_order = 8",
    )
    (warning,) = gate_features(gate_home, AS_OF, "stale")["warnings"]
    assert "days_since_last_order" in warning


def test_a_shop_too_young_for_any_outcome_passes(gate_home):
    run_as_transformer(
        gate_home,
        "update marts.fct_orders set ordered_date = greatest(ordered_date, '2011-09-03');"
        f"delete from {SNAPSHOTS} where as_of_date < '2011-09-10';"
        f"update {SNAPSHOTS} set days_since_first_order = 7;"
        f"delete from {OUTCOMES}; delete from {NEXT_ORDERS}",
    )
    assert gate_features(gate_home, AS_OF, "young shop")["warnings"] == []


def test_a_shop_that_sold_nothing_lately_passes(gate_home):
    """What holds recent orders only is empty then; no other table may be."""
    of_recent_orders = [model.name for model in MODELS if model.may_be_empty]
    assert "basket_lines" in of_recent_orders
    assert not set(of_recent_orders) & BY_HAND
    run_as_transformer(gate_home, "".join(f"delete from features.{n};" for n in of_recent_orders))
    assert gate_features(gate_home, AS_OF, "dormant shop")["warnings"] == []
    run_as_transformer(gate_home, "delete from features.customer_baskets")
    with pytest.raises(GateFailed, match="customer_baskets"):
        gate_features(gate_home, AS_OF, "nothing built")


def test_a_date_that_is_only_learnt_from_may_hold_a_sample(gate_home, monkeypatch):
    run_as_transformer(
        gate_home, f"delete from {SNAPSHOTS} where customer_id = 'c3' and as_of_date < '{AS_OF}'"
    )
    monkeypatch.setattr(features, "SAMPLE_DEVIATIONS", 0)  # 20 customers are known, 19 present
    for customers in (20, 20_000):  # no sample is needed
        small = gate_home.model_copy(update={"training_customers": customers})
        with pytest.raises(GateFailed, match="as many customers as ordered"):
            gate_features(small, AS_OF, "customers missing")
    large = gate_home.model_copy(update={"training_customers": 19})
    assert gate_features(large, AS_OF, "large shop")["warnings"] == []
    run_as_transformer(gate_home, f"delete from {SNAPSHOTS} where customer_id = 'c4'"
                       f" and as_of_date < '{AS_OF}'")  # fmt: skip
    with pytest.raises(GateFailed, match="as many customers as ordered"):
        gate_features(large, AS_OF, "too few")


def test_outcomes_that_later_runs_added_are_fine(gate_home):
    run_as_transformer(
        gate_home,
        f"insert into {OUTCOMES} values ('2011-07-01', 'c1', 90, '2011-09-29', 1, 1),"
        " ('2011-06-01', 'c1', 365, '2012-05-31', 1, 1)",
    )
    assert gate_features(gate_home, AS_OF, "later outcomes")["warnings"] == []
