"""The public data sets as shops: one form for orders, one for weekly sales, one way to land both.

Frames:
    orders: customer_id, order_id, ordered_at, product_id, quantity, unit_price_amount; one row per
        order line.
    weeks: product_id, week_start_date (a Monday), units, unit_price_amount; one row per product and
        known week. A week without a row is unknown, not without sales.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from benchmarks.data import YEAR_DAYS, Data
from benchmarks.panel import generators, sets

WINDOW_DAYS, WINDOW_WEEKS = 90, 8
MOST_CUTS, MOST_ORIGINS = 4, 4
LEAST_DAYS_BEFORE, LEAST_WEEKS_BEFORE = 180, 30
COUNTRY = "United Kingdom"  # no data set has a country that matters
PRICE = 1.0  # price of a unit, where the data set has none

# Folders of the data sets that have one file of orders, or of weeks, in the form above.
ORDERS = ("complete_journey", "essec_purchases", "afisha_tickets", "superstore_us")
WEEKS = (
    *("walmart_store_dept", "dominicks_orange_juice", "spare_parts_man"),
    *("german_bakery", "tech_gadgets", "restaurant_visitors"),
)
# Rossmann's stores by parity: each half is a shop of its own.
ROSSMANN = {"rossmann_even": 0, "rossmann_odd": 1}
EVERY_PRODUCT_UP_TO = 400  # series of a shop; of more series, every k-th


def orders(name: str, shared: Path) -> pd.DataFrame:
    """Order lines of a public shop, in the order of their times.

    Args:
        name: One of ORDERS.
        shared: The folder of the public data sets.
    """
    frame = pd.read_parquet(shared / name / "transactions.parquet")
    return frame.sort_values(["ordered_at", "order_id"], kind="stable", ignore_index=True)


def weeks(name: str, shared: Path) -> pd.DataFrame:
    """Weekly sales of a public shop, ascending by product and week.

    A week that begins on another day gets the date of the Monday in it.

    Args:
        name: One of WEEKS or ROSSMANN.
        shared: The folder of the public data sets.
    """
    if name in ROSSMANN:
        frame = _rossmann(shared / "rossmann", ROSSMANN[name])
    else:
        frame = pd.read_parquet(shared / name / "weekly.parquet")
        frame = frame.rename(columns={"price": "unit_price_amount"})
    first = pd.to_datetime(frame["week_start_date"])
    frame["week_start_date"] = first + pd.to_timedelta(-first.dt.dayofweek % 7, unit="D")
    frame["unit_price_amount"] = frame["unit_price_amount"].astype(float).fillna(PRICE)
    frame["units"] = frame["units"].astype(float).round(2)
    every = -(-frame["product_id"].nunique() // EVERY_PRODUCT_UP_TO)
    kept = sorted(frame["product_id"].unique())[::every]
    columns = ["product_id", "week_start_date", "units", "unit_price_amount"]
    return frame[frame["product_id"].isin(kept)][columns].sort_values(
        columns[:2], ignore_index=True
    )


def _rossmann(folder: Path, parity: int) -> pd.DataFrame:
    sales = pd.read_csv(
        folder / "train.csv.gz", usecols=["Store", "Date", "Sales"], parse_dates=["Date"]
    )
    sales = sales[sales["Store"] % 2 == parity]
    monday = sales["Date"] - pd.to_timedelta(sales["Date"].dt.dayofweek, unit="D")
    weekly = sales.groupby(["Store", monday])["Sales"].sum().rename("units").reset_index()
    weekly["product_id"] = "S" + weekly["Store"].astype(str).str.zfill(4)
    weekly["unit_price_amount"] = PRICE
    return weekly.rename(columns={"Date": "week_start_date"})


# Shops of a set ------------------------------------------------------------------------------


def panel(name: str, workspace: Path, shared: Path, commit: str) -> list[Data]:
    """The shops of a set with their evaluation dates; missing files are written.

    A public data set that is not in `shared` has a path that does not exist.

    Args:
        name: One of `sets.SETS`.
        workspace: Folder for the files.
        shared: The folder of the public data sets.
        commit: Commit of the evaluated code; the seeds of generated final shops follow from it.
    """
    public, made = sets.members(name)
    return [
        *(_public(shop, name, workspace / "files", shared) for shop in public),
        *(_made(family, name, workspace / "files", commit) for family in made),
    ]


def _public(shop: str, panel_name: str, files: Path, shared: Path) -> Data:
    group = f"{shop} ({panel_name})"
    if shop == "online_retail":  # has a staging folder of its own
        path = shared / "online_retail_ii" / "online_retail_II.csv.gz"
        days = date(2009, 12, 1), date(2011, 12, 9)
        weeks_of = date(2009, 11, 30), date(2011, 11, 28)
        return Data(shop, group, shop, path, cuts(*days), year_cuts(*days), origins(*weeks_of))
    folder = files / shop
    if not (shared / ("rossmann" if shop in ROSSMANN else shop)).exists():
        return Data(shop, group, "canonical", shared / shop)
    if shop in ORDERS:
        return _data(shop, group, orders(shop, shared), folder)
    weekly = weeks(shop, shared)
    if not folder.exists():
        write_weeks(weekly, folder)
    known = files / f"{shop}.known_weeks.parquet"
    weekly[["product_id", "week_start_date"]].to_parquet(known)
    all_weeks = pd.DatetimeIndex(weekly["week_start_date"])
    dates = origins(all_weeks.min().date(), all_weeks.max().date())
    return Data(shop, group, "canonical", folder, origins=dates, known_weeks=known)


def _made(family: str, panel_name: str, files: Path, commit: str) -> Data:
    seed = generators.seed_of(family, commit) if panel_name == "final" else 1
    name = f"{family}_{seed}"
    made = generators.generate(family, seed)
    return _data(name, f"{family}, made ({panel_name})", made.orders, files / name)


def _data(name: str, group: str, lines: pd.DataFrame, folder: Path) -> Data:
    if not folder.exists():
        write_orders(lines, folder)
    days = lines["ordered_at"].min().date(), lines["ordered_at"].max().date()
    return Data(name, group, "canonical", folder, cuts(*days), year_cuts(*days))


# Dates to judge at ----------------------------------------------------------------------------


def cuts(first_day: date, newest_day: date) -> tuple[date, ...]:
    """Cuts with windows of 90 days side by side, ascending; the last window ends with the data.

    At least 180 days are known before each.
    """
    end = newest_day + timedelta(days=1)
    starts = [end - timedelta(days=WINDOW_DAYS * number) for number in range(1, MOST_CUTS + 1)]
    begin = first_day + timedelta(days=LEAST_DAYS_BEFORE)
    return tuple(sorted(day for day in starts if day >= begin))


def year_cuts(first_day: date, newest_day: date) -> tuple[date, ...]:
    """The day 365 days before the data's end, if 180 days are known before it."""
    cut = newest_day + timedelta(days=1 - YEAR_DAYS)
    return (cut,) if cut >= first_day + timedelta(days=LEAST_DAYS_BEFORE) else ()


def origins(first_week: date, newest_week: date) -> tuple[date, ...]:
    """Mondays with windows of 8 weeks side by side, ascending; the last ends with the data."""
    end = newest_week + timedelta(weeks=1)
    starts = [end - timedelta(weeks=WINDOW_WEEKS * number) for number in range(1, MOST_ORIGINS + 1)]
    begin = first_week + timedelta(weeks=LEAST_WEEKS_BEFORE)
    return tuple(sorted(day for day in starts if day >= begin))


# Into the canonical form ----------------------------------------------------------------------


def write_orders(lines: pd.DataFrame, folder: Path) -> None:
    """Write a shop's orders as files in the canonical form, without prices of 0 or less.

    Args:
        lines: The frame `orders` of this module's docstring.
        folder: Target; it appears once it is complete.
    """
    lines = lines[(lines["unit_price_amount"] > 0) & (lines["quantity"] > 0)]
    by_order = lines.drop_duplicates("order_id")
    first = lines.groupby("customer_id", sort=True)["ordered_at"].min()
    introduced = lines.groupby("product_id", sort=True)["ordered_at"].min()
    _write(
        folder,
        customers=pd.DataFrame(
            {"customer_id": first.index, "registered_at": _time(first), "country": COUNTRY}
        ),
        orders=pd.DataFrame(
            {
                "order_id": by_order["order_id"],
                "customer_id": by_order["customer_id"],
                "ordered_at": _time(by_order["ordered_at"]),
                "country": COUNTRY,
                "order_type": "sale",
                "refunded_order_id": "",
            }
        ),
        order_items=_items(lines["order_id"], lines),
        products=_products(introduced),
    )


def write_weeks(weekly: pd.DataFrame, folder: Path) -> None:
    """Write weekly sales as guests' orders, one a product and week, at noon of its Monday.

    A week without sales has no row in a shop's files and becomes a zero. An unknown week becomes a
    zero, too; the judge leaves it out (Data.known_weeks).

    Args:
        weekly: The frame `weeks` of this module's docstring.
        folder: Target; it appears once it is complete.
    """
    sold = weekly[weekly["units"] > 0].rename(columns={"units": "quantity"})
    ids = sold["product_id"] + "-" + sold["week_start_date"].dt.strftime("%Y%m%d")
    introduced = sold.groupby("product_id", sort=True)["week_start_date"].min()
    registered = weekly["week_start_date"].min()
    _write(
        folder,
        # a customer without orders: the gate stops a shop without customers
        customers=pd.DataFrame(
            [{"customer_id": "C1", "registered_at": f"{registered:%Y-%m-%d}", "country": COUNTRY}]
        ),
        orders=pd.DataFrame(
            {
                "order_id": ids,
                "customer_id": "",
                "ordered_at": _time(sold["week_start_date"] + pd.Timedelta(hours=12)),
                "country": COUNTRY,
                "order_type": "sale",
                "refunded_order_id": "",
            }
        ),
        order_items=_items(ids, sold),
        products=_products(introduced),
    )


def _items(order_ids: pd.Series, lines: pd.DataFrame) -> pd.DataFrame:
    number = lines.groupby(order_ids.to_numpy()).cumcount().astype(str)
    return pd.DataFrame(
        {
            "order_item_id": order_ids.astype(str) + "-" + number.to_numpy(),
            "order_id": order_ids,
            "product_id": lines["product_id"],
            "quantity": lines["quantity"],
            "unit_price_amount": lines["unit_price_amount"],
            "line_type": "product",
        }
    )


def _products(introduced: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product_id": introduced.index,
            "product_name": introduced.index,
            "product_family": "all",
            "list_price_amount": "",
            "introduced_date": introduced.dt.strftime("%Y-%m-%d"),
            "discontinued_date": "",
        }
    )


def _time(times: pd.Series) -> pd.Series:
    return times.dt.strftime("%Y-%m-%dT%H:%M:%S")


def _write(folder: Path, **tables: pd.DataFrame) -> None:
    beside = folder.with_name(f"{folder.name}.part")
    beside.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(beside / f"{name}.csv", index=False)
    beside.rename(folder)
