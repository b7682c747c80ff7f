"""Time zone and currency belong to the home: builds without them, and with others."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from local import postgres
from local.run import change_shop
from perennial import shop
from perennial.bootstrap import OWNER, bootstrap
from perennial.dbt import DbtError, variables
from perennial.settings import Settings, SettingsError
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.sql.shops import MARTS
from tests.steps import close_build, dbt, land_files

CASE = Path(__file__).parent.parent / "cases" / "31-time-zone-forgotten"
DAY = date(2018, 3, 1)
SAO_PAULO, AUCKLAND = "America/Sao_Paulo", "Pacific/Auckland"


# Late on a Sunday, on the last evening of a month and of a year, at a change of clocks; a refund.
LATE_EVENINGS = {
    "orders_3.csv": "order_id,customer_id,ordered_at,order_type,refunded_order_id\n"
    "s1,c1,2017-12-31T22:15:00,sale,\ns2,c2,2018-01-14 23:45:00,sale,\n"
    "s3,,2018-01-31 23:59:59,sale,\ns4,c1,2018-02-17 22:30:00,sale,\n"
    "s5,c2,2018-02-05T12:00:00Z,sale,\nr1,c1,2018-01-21 23:50:00,refund,s1\n",
    "order_items_3.csv": "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
    "1,s1,p1,2,10.00,product\n1,s2,p1,1,9.00,product\n1,s3,p1,3,8.00,product\n"
    "1,s4,p1,1,7.00,product\n1,s5,p1,1,6.00,product\n1,r1,p1,1,10.00,product\n",
}


def build(settings: Settings, *files: Path) -> None:
    for folder in files:
        land_files(settings, DAY, folder)
    dbt(settings, DAY, "run", *MARTS)
    close_build(settings)


@pytest.fixture(scope="module")
def late_evenings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late")
    for name, text in LATE_EVENINGS.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def home(start_home: StartHome, late_evenings: Path) -> Settings:
    """Case 31: built with a time zone set, then without; the settings have none any more."""
    stated = start_home("canonical", time_zone=SAO_PAULO, currency="BRL")
    build(stated, CASE / "day1")
    forgotten = stated.model_copy(update={"time_zone": "", "currency": ""})
    build(forgotten, CASE / "day2", late_evenings)
    return forgotten


@pytest.fixture(scope="module")
def twin(start_home: StartHome) -> Settings:
    """An earlier version's home without a build, started with a time zone set."""
    home = start_home("canonical")
    as_of_an_earlier_version(home)
    postgres.start(home.model_copy(update={"time_zone": AUCKLAND}))
    return home


def order_times(settings: Settings) -> dict[str, tuple[datetime, str]]:
    """Each order's time in UTC, and its shop-local day."""
    with connect(settings, "transformer") as connection:
        rows = connection.execute(
            "select order_id, ordered_at, ordered_date::text from marts.fct_orders"
        ).fetchall()
    return {order_id: (ordered_at, day) for order_id, ordered_at, day in rows}


def every_mart(settings: Settings) -> dict[str, list[str]]:
    """All rows of staging, intermediate and marts as sorted text, without the state of files."""
    with connect(settings, "transformer") as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables"
                " where table_schema = 'marts' or table_name = 'int_customer_days' order by 1"
            )
        ]
        return {
            name: sorted(
                text
                for (text,) in connection.execute(f"select relation::text from {name} relation")
            )
            for name in names
        }


def as_of_an_earlier_version(settings: Settings) -> None:
    """Put the home into the state of versions that stored no time zone."""
    (settings.home / "shop.json").write_text(json.dumps({"source": settings.source}) + "\n")
    with connect(settings, OWNER) as connection:
        connection.execute("delete from ops.shop")


def test_a_time_zone_that_is_forgotten_is_the_homes(home: Settings) -> None:
    """A former fault: two orders of 23:30 local time became 01:30 and 23:30 UTC, silently."""
    assert shop.own(home) == shop.Own(SAO_PAULO, "BRL")
    found = order_times(home)
    # two hours behind UTC until the clocks went back at midnight of 17 February 2018
    for order_id in ("o1", "o2"):
        assert found[order_id] == (datetime(2018, 1, 11, 1, 30, tzinfo=UTC), "2018-01-10")
    assert found["s4"] == (datetime(2018, 2, 18, 0, 30, tzinfo=UTC), "2018-02-17")
    assert found["s5"] == (datetime(2018, 2, 5, 12, tzinfo=UTC), "2018-02-05")


def test_another_time_zone_or_currency_is_refused(home: Settings) -> None:
    london = home.model_copy(update={"time_zone": "Europe/London"})
    for refused in (postgres.start, variables, bootstrap):
        with pytest.raises(SettingsError, match=f"has TIME_ZONE={SAO_PAULO}.*make shop"):
            refused(london)
    with pytest.raises(SettingsError, match="has CURRENCY=BRL"):
        variables(home.model_copy(update={"currency": "GBP"}))


def test_an_earlier_versions_home_adopts_what_its_orders_were_built_in(home: Settings) -> None:
    as_of_an_earlier_version(home)
    with pytest.raises(SettingsError, match=f"has TIME_ZONE={SAO_PAULO}"):
        postgres.start(home.model_copy(update={"time_zone": "Europe/London"}))
    postgres.start(home.model_copy(update={"currency": "BRL"}))
    assert shop.own(home) == shop.Own(SAO_PAULO, "BRL")
    kept = json.loads((home.home / "shop.json").read_text())
    assert kept == {"source": "canonical", "time_zone": SAO_PAULO, "currency": "BRL"}


def test_an_earlier_versions_home_that_built_nothing_takes_what_is_set(twin: Settings) -> None:
    assert shop.own(twin) == shop.Own(AUCKLAND, "GBP")


def test_a_build_from_a_home_that_does_not_know_the_warehouses_zone_is_refused(
    home: Settings, tmp_path: Path
) -> None:
    """Like a worker in a container with an empty home and settings without the time zone."""
    private = home.model_copy(update={"home": tmp_path, "secrets": home.secrets_dir})
    with pytest.raises(DbtError, match=f"warehouse has {SAO_PAULO}, BRL"):
        dbt(private, DAY, "run", "--select", "stg_ops__landed_files")
    bootstrap(private)  # as `init` does; it stores the zone
    assert shop.own(private) == shop.Own(SAO_PAULO, "BRL")


def test_a_time_zone_changed_on_purpose_comes_to_a_home_that_had_it_from_the_start(
    home: Settings, twin: Settings, late_evenings: Path
) -> None:
    """Orders of the last hours of a Sunday, a month and a year move into the next."""
    before = every_mart(home)
    with connect(home, "transformer") as busy:
        busy.execute("select 1")
        with pytest.raises(SettingsError, match="transformer is connected"):
            change_shop(home, AUCKLAND, "NZD")
    assert shop.own(home) == shop.Own(SAO_PAULO, "BRL")
    with pytest.raises(ValueError, match="IANA"):
        change_shop(home, "Mars/Olympus", "")
    change_shop(home, AUCKLAND, "NZD")
    assert shop.own(home) == shop.Own(AUCKLAND, "NZD")
    build(home)
    build(twin, CASE / "day1", CASE / "day2", late_evenings)
    assert every_mart(home) == every_mart(twin) != before


def test_a_currency_is_a_name_and_costs_no_build(twin: Settings) -> None:
    with connect(twin, "transformer") as connection:
        before = connection.execute("select file_id from ops.built_files").fetchall()
    change_shop(twin, "", "NZD")
    assert shop.own(twin) == shop.Own(AUCKLAND, "NZD")
    with connect(twin, "transformer") as connection:
        assert connection.execute("select file_id from ops.built_files").fetchall() == before


def test_a_change_that_is_cut_short_is_none(
    twin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shop.own(twin)

    def state() -> list[tuple[object, ...]]:
        with connect(twin, "transformer") as connection:
            query = (
                "select time_zone, currency, (select count(*) from ops.built_files) from ops.shop"
            )
            return connection.execute(query).fetchall()

    expected = state()
    other = shop.Own("Asia/Tokyo", "JPY")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            shop.change(twin, other)
    assert (shop.own(twin), state()) == (before, expected)
    shop.keep(twin, other)  # killed after the home is written, before the warehouse commits
    postgres.start(twin)
    assert (shop.own(twin), state()) == (before, expected)
