"""In whatever order files come, go and change, the marts equal those of a full build."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from psycopg import sql

from local import postgres
from perennial.bootstrap import SUPERUSER
from perennial.warehouse import connect, read_frame
from tests.conftest import StartHome
from tests.sql.shops import CANONICAL, ONLINE_RETAIL, ShopBuilder, Step
from tests.steps import primary_keys

# Tables of a build's own state.
MEMORY = {"stg_ops__landed_files", "int_changed_files", "int_touched_keys", "int_sent_files"}


def relations(shop: ShopBuilder) -> dict[str, pd.DataFrame]:
    """Every table and view of staging, intermediate and marts, rows in a total order."""
    with connect(shop.settings, "transformer") as connection:
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('staging', 'intermediate', 'marts')"
        ).fetchall()
        frames = {}
        for schema, name in names:
            if name in MEMORY or name.endswith("changed_keys"):
                continue
            frame = read_frame(
                connection, sql.SQL("select * from {}").format(sql.Identifier(schema, name))
            )
            frames[f"{schema}.{name}"] = frame.sort_values(
                list(frame.columns), key=lambda column: column.astype(str), ignore_index=True
            )
    assert len(frames) > 15
    return frames


def orders(shop: ShopBuilder) -> set[tuple[str, str, str]]:
    """Orders in the mart: order_id, ordered_date, product_amount, as text."""
    with connect(shop.settings, "transformer") as connection:
        return set(
            connection.execute(
                "select order_id, ordered_date::text, product_amount::text from marts.fct_orders"
            ).fetchall()
        )


def first_touched_date(shop: ShopBuilder) -> str | None:
    """First day with scores that the last build's files affect."""
    with connect(shop.settings, "transformer") as connection:
        row = connection.execute(
            "select min(first_touched_date)::text from intermediate.int_changed_files"
        ).fetchone()
    assert row is not None
    return row[0]


def changed_keys(shop: ShopBuilder) -> pd.DataFrame:
    """The last build's keys of changed files, in a total order."""
    with connect(shop.settings, "transformer") as connection:
        query = "select * from intermediate.int_changed_keys order by 1, 2, 3, 4"
        return read_frame(connection, query)


# Tables of rejects that each build truncates and fills.
FILLED_ANEW = {
    "online_retail": ["rows_rejected"],
    "canonical": ["orders_rejected", "order_items_rejected"],
}


def never_vacuumed(shop: ShopBuilder) -> set[str]:
    """Tables that autovacuum skips, however much is inserted."""
    with connect(shop.settings, "transformer") as connection:
        found = connection.execute(
            "select relname from pg_class"
            " where 'autovacuum_vacuum_insert_threshold=-1' = any(reloptions)"
        ).fetchall()
    return {name for (name,) in found}


@pytest.mark.parametrize(
    ("source", "steps", "every"),  # every: number of steps between comparisons of the marts
    [
        pytest.param("canonical", CANONICAL, 4, id="canonical, fourth"),
        pytest.param("canonical", CANONICAL, 2, id="canonical", marks=pytest.mark.whole),
        pytest.param(
            "online_retail", ONLINE_RETAIL, 2, id="online_retail", marks=pytest.mark.whole
        ),
    ],
)
def test_file_by_file_comes_to_the_same_as_a_build_from_nothing(
    source: str, steps: list[Step], every: int, start_home: StartHome, tmp_path: Path
) -> None:
    shop = ShopBuilder(start_home(source), tmp_path)
    for number, step in enumerate(steps, start=1):
        step.happens(shop)
        # dbt's own tests run with some builds: they take longer than the models
        compare = number % every == 0 or number == len(steps)
        shop.build("build" if compare else "run")
        assert orders(shop) == step.orders, step.title
        assert first_touched_date(shop) == step.first_touched_date, step.title
        if compare:
            found = relations(shop)
            shop.rebuild()
            for name, expected in relations(shop).items():
                pd.testing.assert_frame_equal(
                    found[name], expected, obj=f"{name} after {step.title!r}", check_dtype=False
                )
    assert never_vacuumed(shop) == {
        "int_touched_keys",
        f"stg_{source}__changed_keys",
        *(f"stg_{source}__{name}" for name in FILLED_ANEW[source]),
    }
    assert primary_keys(shop.settings, "marts") == {
        "dim_customers": ["customer_id"],
        "dim_products": ["product_id"],
        "fct_charges": ["charge_id"],
        "fct_demand_weekly": ["product_id", "week_start_date"],
        "fct_order_items": ["order_item_id"],
        "fct_orders": ["order_id"],
        "fct_refunds": ["refund_item_id"],
        "dim_dates": ["date_day"],
    }


@pytest.mark.parametrize(
    ("source", "steps"), [("online_retail", ONLINE_RETAIL[:2]), ("canonical", CANONICAL[:2])]
)
def test_a_build_that_goes_on_where_one_broke_off_lists_the_same_keys(
    source: str, steps: list[Step], start_home: StartHome, tmp_path: Path
) -> None:
    shop = ShopBuilder(start_home(source), tmp_path)
    for step in steps:
        step.happens(shop)
        shop.break_off()
        listed = changed_keys(shop)
        assert len(listed) > 0
        shop.build()
        pd.testing.assert_frame_equal(changed_keys(shop), listed, obj=step.title)


def test_rows_of_other_rules_are_recomputed(start_home: StartHome, tmp_path: Path) -> None:
    shop = ShopBuilder(start_home("canonical"), tmp_path)
    CANONICAL[0].happens(shop)
    shop.build()
    right = relations(shop)
    as_whole_numbers(shop)
    postgres.start(shop.settings)  # a start upgrades the tables
    # units of the old rules, in a mart that no file touches
    with connect(shop.settings, "transformer") as connection:
        connection.execute("drop view reporting.own_view")
        connection.execute("update marts.fct_order_items set units = 99")
    shop.build()
    assert set(relations(shop)["marts.fct_order_items"]["units"]) == {99}
    with connect(shop.settings, "transformer") as connection:
        connection.execute("update ops.built_files set rules = 'those of an earlier version'")
    shop.build()
    for name, made in relations(shop).items():
        pd.testing.assert_frame_equal(made, right[name], obj=name)
    with connect(shop.settings, "transformer") as connection:
        (changed,) = connection.execute(
            "select count(*) from intermediate.int_changed_files"
        ).fetchone() or (0,)
        assert changed == 5
    shop.build()
    with connect(shop.settings, "transformer") as connection:
        assert connection.execute("select 1 from intermediate.int_changed_files").fetchall() == []


def as_whole_numbers(shop: ShopBuilder) -> None:
    """Give units the whole-number types of an earlier version's homes, which had no upgrades."""
    with connect(shop.settings, SUPERUSER) as connection:
        connection.execute("drop table ops.schema_upgrades")
    with connect(shop.settings, "transformer") as connection:
        connection.execute(
            "drop view intermediate.int_order_lines, staging.stg_canonical__order_items;"
            "drop view intermediate.int_rejected_rows, staging.stg_canonical__rows_rejected;"
            "drop view intermediate.int_reduced_orders, staging.stg_canonical__reduced_orders;"
            "alter table staging.stg_canonical__order_items_judged"
            " alter quantity type integer;"
            "create view staging.stg_canonical__order_items as"
            " select quantity as units from staging.stg_canonical__order_items_judged;"
            "create view intermediate.int_order_lines as"
            " select units from staging.stg_canonical__order_items;"
            "alter table marts.fct_order_items alter units type integer;"
            "alter table marts.fct_orders alter units type bigint;"
            # a shop's own view on another column must not block the upgrade
            "create view reporting.own_view as select product_id from marts.fct_order_items"
        )
