"""Loyalty on a real warehouse: the ledger reconciles to orders, and published rules stay."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from command import app
from ingest.sample_shop import generate, write
from ml_tasks.engine.scoring import score_question
from ml_tasks.loyalty import programme as programmes
from ml_tasks.loyalty import run
from ml_tasks.loyalty.programme import ProgrammeError
from ml_tasks.models import registry
from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from tests.conftest import StartHome
from tests.steps import build, land_files

AS_OF = date(2024, 3, 20)
CHANGED = date(2023, 9, 1)
YEAR = timedelta(days=365)
RULES: dict[str, Any] = {
    "versions": [
        {
            "version": "1",
            "points_per_unit": 1.3,
            "points_valid_days": 150,
            "point_value": 0.01,
            "tiers": [{"name": "base", "least": 0}, {"name": "gold", "least": 300}],
        },
        {
            "version": "2",
            "valid_from": CHANGED,
            "points_per_unit": 2,
            "point_value": 0.01,
            "tiers": [{"name": "base", "least": 0}, {"name": "gold", "least": 150}],
        },
    ]
}
Use = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Sixteen months of the sample shop, built for a date."""
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=4, customers=250, days=480), folder)
    forget_orders_of_refunds(folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    registry.initialise(settings)
    return settings


def forget_orders_of_refunds(folder: Path) -> None:
    """Leave every second refund without the order that it is of."""
    for path in folder.glob("orders_*"):
        orders = pd.read_csv(path, dtype=str, keep_default_na=False)
        refunds = orders.index[orders["refunded_order_id"] != ""]
        orders.loc[refunds[::2], "refunded_order_id"] = ""
        orders.to_csv(path, index=False)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Put rules in the place of the shop's programme."""

    def replace(rules: dict[str, Any]) -> None:
        monkeypatch.setattr(run, "load", lambda: programmes.parse(rules, "programme.yml"))

    replace(RULES)
    return replace


def frame(home: Settings, query: str, role: str = "scorer") -> pd.DataFrame:
    with connect(home, role) as connection:
        return read_frame(connection, query)


def points_of(amount: Decimal, day: date) -> int:
    rate = Decimal("1.3") if day < CHANGED else Decimal(2)
    return int((amount * rate).to_integral_value(ROUND_FLOOR))


def reduced(lots: list[Any], refund: Any) -> list[Any]:
    """The orders that a refund reduces, in order."""
    if refund.refunded_order_id is not None:
        return [lot for lot in lots if lot["id"] == refund.refunded_order_id]
    return [lot for lot in reversed(lots) if lot["day"] <= refund.refunded_date]


def counted(home: Settings) -> dict[str, dict[str, Any]]:
    """Each customer's points and spend, order by order, with decimals."""
    before = f"customer_id is not null and {{}} < date '{AS_OF}'"
    orders = frame(
        home,
        f"select * from marts.fct_orders where {before.format('ordered_date')}"
        " order by ordered_at, order_id",
    )
    refunds = frame(
        home,
        "select customer_id, refund_id, refunded_order_id, refunded_date,"
        " sum(refund_amount) as amount"
        f" from marts.fct_refunds where {before.format('refunded_date')} group by 1, 2, 3, 4"
        " order by refunded_date, min(refunded_at), refund_id",
    )
    assert refunds["refunded_order_id"].isna().sum() > 10
    assert refunds["refunded_order_id"].notna().sum() > 10
    found: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    lots = defaultdict(list)
    for order in orders.itertuples():
        day, amount = order.ordered_date, order.product_amount
        last_day = day + timedelta(days=149) if day < CHANGED else date.max
        held = points_of(amount, day)
        lot = {"id": order.order_id, "day": day, "left": amount, "held": held, "last": last_day}
        lots[order.customer_id].append(lot)
        found[order.customer_id]["points_earned"] += held
        found[order.customer_id]["order_amount"] += amount
    for refund in refunds.itertuples():
        amount = refund.amount
        for lot in reduced(lots[refund.customer_id], refund):
            taken = min(amount, lot["left"])
            worth = points_of(lot["left"], lot["day"]) - points_of(lot["left"] - taken, lot["day"])
            amount, lot["left"] = amount - taken, lot["left"] - taken
            if refund.refunded_date <= lot["last"]:
                found[refund.customer_id]["points_taken_back"] += worth
                lot["held"] -= worth
    for customer, own in found.items():
        for lot in lots[customer]:
            own["points_expired" if lot["last"] < AS_OF else "points_balance"] += lot["held"]
            own["net"] += lot["left"] if lot["day"] >= AS_OF - YEAR else 0
    return found


def test_the_ledger_reconciles_to_orders_to_the_unit(home: Settings, use: Use) -> None:
    score_question(home, "loyalty", AS_OF, "test")
    expected = counted(home)
    entries = ["order_amount", "points_earned", "points_taken_back", "points_expired"]
    ledger = frame(home, "select * from reporting.loyalty_ledger order by month_date", "bi_reader")
    sums = ledger.groupby("customer_id")[entries].sum()
    rows = frame(home, "select * from reporting.loyalty", "bi_reader").set_index("customer_id")
    assert set(rows.index) == set(sums.index) == set(expected)
    assert len(rows) > 100
    for customer, own in expected.items():
        assert [sums.at[customer, name] for name in entries] == [own[name] for name in entries]
        assert rows.at[customer, "points_balance"] == own["points_balance"]
        assert rows.at[customer, "net_order_amount_365d"] == own["net"]
        assert rows.at[customer, "tier"] == ("gold" if own["net"] >= 150 else "base")
    assert min(sums.sum()) > 0  # there were orders, refunds and expired points
    last = ledger.groupby("customer_id")["points_balance"].last()
    assert last.equals(rows["points_balance"].reindex(last.index))
    tiers = frame(home, "select * from reporting.loyalty_tiers order by tier_rank", "bi_reader")
    assert tiers["points_balance"].sum() == rows["points_balance"].sum()
    assert tiers["net_order_amount_365d"].sum() == rows["net_order_amount_365d"].sum()
    assert (
        tiers["count_customers"].tolist()
        == rows["tier"].value_counts().loc[["base", "gold"]].tolist()
    )


def test_rules_that_were_published_stop_the_scoring_where_they_are_edited(
    home: Settings, use: Use
) -> None:
    score_question(home, "loyalty", AS_OF, "test")
    before = frame(home, "select * from reporting.loyalty order by customer_id", "bi_reader")
    edited = copy.deepcopy(RULES)
    edited["versions"][0]["points_per_unit"] = 5
    use(edited)
    with pytest.raises(ProgrammeError, match=f"{AS_OF} was published with 2-.*add a new version"):
        score_question(home, "loyalty", AS_OF, "test")
    later = copy.deepcopy(RULES)
    later["versions"].append(
        {**RULES["versions"][1], "version": "3", "valid_from": date(2024, 4, 1), "point_value": 1}
    )
    use(later)
    score_question(home, "loyalty", AS_OF, "again")
    after = frame(home, "select * from reporting.loyalty order by customer_id", "bi_reader")
    stamps = ["run_id", "publication_id", "scored_at"]
    pd.testing.assert_frame_equal(before.drop(columns=stamps), after.drop(columns=stamps))


def test_the_command_compares_and_writes_nothing(
    home: Settings,
    use: Use,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score_question(home, "loyalty", AS_OF, "test")
    tried = copy.deepcopy(RULES["versions"][1])
    tried["tiers"][1]["least"] = 1e9
    path = tmp_path / "tried.yml"
    path.write_text(yaml.safe_dump({"versions": [tried]}))
    current = tmp_path / "current.yml"
    current.write_text(yaml.safe_dump(RULES))
    monkeypatch.setattr(programmes.load, "__defaults__", (current,))
    monkeypatch.setenv("PERENNIAL_HOME", str(home.home))
    monkeypatch.setenv("PERENNIAL_PG_PORT", str(home.pg_port))
    monkeypatch.setenv("COLUMNS", "120")
    count = "select count(*) from reporting.loyalty where tier = 'gold'"
    gold = frame(home, count, "bi_reader").iat[0, 0]
    publications = frame(home, "select * from ops.publications")
    assert gold > 0
    assert app.main(["loyalty", "simulate", f"--rules={path}"]) == 0
    out = capsys.readouterr().out
    assert f"The 365 days before {AS_OF}: 2 in force, 2 tried" in out
    assert f"0 would rise and {gold:,} would fall" in " ".join(out.split())
    assert frame(home, "select * from ops.publications").equals(publications)
    path.write_text("versions: [{version: x}]")
    assert app.main(["loyalty", "simulate", f"--rules={path}"]) == 1
    assert "tried.yml: version 'x', points_per_unit: Field required" in capsys.readouterr().err
    path.write_text(yaml.safe_dump({"versions": [tried]}))
    assert app.main(["loyalty", "simulate", f"--rules={path}", "--as-of=2001-01-01"]) == 1
    assert "AS_OF=2001-01-01: not built" in capsys.readouterr().err
