"""Online Retail II through the whole chain: every penny reconciled, scores against the truth."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from tests.conftest import StartHome
from tests.faults import ledger
from tests.steps import build, land_files, rows, score

JUNE, SEPTEMBER = date(2011, 6, 10), date(2011, 9, 10)
CUTS = ledger.size((JUNE,), (JUNE, SEPTEMBER))
EACH_CUT = pytest.mark.parametrize(
    "day", [JUNE, pytest.param(SEPTEMBER, marks=pytest.mark.whole)], ids=str
)
SEASON = date(2011, 10, 10)  # a Monday before Christmas
HORIZON = timedelta(days=90)

# From the data set's description and two independent counts.
NET_TOTAL = Decimal("19287250.57")
RECORDS = 1_067_371
CUSTOMERS = {JUNE: 4_969, SEPTEMBER: 5_281}


@pytest.fixture(scope="module")
def home(start_home: StartHome, online_retail_file: Path) -> Settings:
    settings = start_home("online_retail")
    landing = land_files(settings, CUTS[0], online_retail_file)
    assert landing["landed"] + landing["rejected"] == RECORDS
    for day in CUTS:
        build(settings, day)
        score(settings, day, "churn", "clv", "survival")
    build(settings, SEASON)
    score(settings, SEASON, "demand")
    return settings


def one(settings: Settings, query: str, *values: object) -> Decimal:
    with connect(settings, "scorer") as connection:
        (value,) = connection.execute(query, values).fetchone() or (None,)  # type: ignore[arg-type]
    return value


def test_every_penny_is_in_exactly_one_place(home: Settings) -> None:
    with connect(home, "transformer") as connection:
        (raw,) = connection.execute(
            "select sum(quantity::numeric * price::numeric) from raw.online_retail_invoice_lines"
        ).fetchone()
        parts = dict(
            connection.execute(
                "select 'orders', sum(line_amount) from marts.fct_order_items where not is_guest"
                " union all select 'refunds', -sum(refund_amount) from marts.fct_refunds"
                " where not is_guest"
                " union all select 'charges', sum(charge_amount) from marts.fct_charges"
                " union all select 'guests', sum(line_amount) from marts.fct_order_items"
                " where is_guest"
                " union all select 'guest refunds', -coalesce(sum(refund_amount), 0)"
                " from marts.fct_refunds where is_guest"
                " union all select 'rejects', sum(line_amount)"
                " from staging.stg_online_retail__invoice_lines_rejected"
            ).fetchall()
        )
    assert raw.quantize(Decimal("0.01")) == NET_TOTAL
    assert sum(parts.values()) == raw, parts
    assert all(parts.values()), parts


@EACH_CUT
def test_every_customer_with_an_order_is_scored(home: Settings, day: date) -> None:
    for view in ("churn_history", "clv_history", "survival_history"):
        assert len(rows(home, f"reporting.{view}", day)) == CUSTOMERS[day]


@EACH_CUT
def test_churn_ranks_those_who_stayed_away_first(home: Settings, day: date) -> None:
    churn = rows(home, "reporting.churn_history", day).set_index("customer_id")
    with connect(home, "scorer") as connection:
        back = read_frame(
            connection,
            "select distinct customer_id from marts.fct_orders"
            " where ordered_date >= %s and ordered_date < %s and not is_guest",
            [day, day + HORIZON],
        )
    stayed_away = ~churn.index.isin(back.customer_id)
    assert 0.5 < stayed_away.mean() < 0.8
    assert roc_auc_score(stayed_away, churn.churn_probability_90d) >= 0.80


def test_predicted_spend_adds_up_to_what_was_spent(home: Settings) -> None:
    day = JUNE
    clv = rows(home, "reporting.clv_history", day).set_index("customer_id")
    with connect(home, "scorer") as connection:
        spent = read_frame(
            connection,
            "select customer_id, sum(amount)::float8 as amount from ("
            " select customer_id, ordered_date as day, line_amount as amount"
            " from marts.fct_order_items where not is_guest union all"
            " select customer_id, refunded_date, -refund_amount from marts.fct_refunds"
            " where not is_guest) as moves"
            " where day >= %s and day < %s group by customer_id",
            [day, day + HORIZON],
        ).set_index("customer_id")
    actual = spent.amount.clip(lower=0)[lambda s: s.index.isin(clv.index)].sum()
    assert actual > 1_000_000
    assert clv.predicted_spend_amount_90d.astype(float).sum() == pytest.approx(actual, rel=0.25)


def test_seven_shards_give_the_same_rows(home: Settings) -> None:
    def published() -> dict[tuple, tuple]:
        with connect(home, "scorer") as connection:
            found = connection.execute(
                "select question, as_of_date, publication_id, checksum from ops.publications"
            ).fetchall()
        return {tuple(key): (number, checksum) for *key, number, checksum in found}

    before, settings = published(), home.model_copy(update={"shards": 7})
    score(settings, CUTS[-1], "churn", "clv", "survival")
    score(settings, SEASON, "demand")
    after = published()
    made_again = [key for key in before if after[key][0] > before[key][0]]
    assert len(made_again) == 4
    for key in before:
        assert after[key][1] == before[key][1], key


def test_demand_beats_the_plain_methods_into_the_season(home: Settings) -> None:
    demand = rows(home, "reporting.demand_history", SEASON)
    assert demand.horizon_weeks.max() == 8
    with connect(home, "scorer") as connection:
        weeks = read_frame(connection, "select * from marts.fct_demand_weekly")
    units = weeks.pivot(index="product_id", columns="week_start_date", values="sold_units")
    amount = weeks.pivot(index="product_id", columns="week_start_date", values="sold_amount")
    units, amount = units.astype(float), amount.astype(float)
    before = [week for week in units.columns if week < SEASON]
    after = [SEASON + timedelta(weeks=count) for count in range(8)]
    sold_often = (units[before[-52:]] > 0).sum(axis=1) >= 26
    weight = amount[before[-13:]].sum(axis=1)[sold_often].nlargest(1_000)
    forecast = demand.pivot(
        index="product_id", columns="week_start_date", values="demand_units_p50"
    )
    forecast = forecast.astype(float).reindex(index=weight.index, columns=after)
    assert forecast.notna().all(axis=None)
    error = ((units.loc[weight.index, after] - forecast) ** 2).mean(axis=1)
    # from the first sale on: weeks before it are missing, not 0
    scale = (units.loc[weight.index, before].diff(axis=1) ** 2).mean(axis=1)
    wrmsse = float(np.average(np.sqrt(error / scale), weights=weight))
    assert wrmsse < 0.85
