"""Write the sample shop's files: months of its records, and the catalogue.

A month's file only grows: written on a later day, it begins with its earlier content. Some faults
of real files are planted in them on purpose; README.md lists them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from ingest.sample_shop.plan import CAMPAIGN_DAY, START, Plan, first_of_month, month_index
from ingest.sample_shop.products import Catalogue, catalogue
from ingest.sample_shop.shop import Month, Shop, months, products_before
from perennial.settings import Settings

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
UNKNOWN_CUSTOMER = "C0000000"
CONTACTS = "contacts_{}.csv"

# Position of each planted fault in a month's file: after this many lines of sound data.
TWICE, CUT_OFF, NO_PRICE, STRANGER = 40, 80, 120, 30
UNDATED_EVERY = 50  # customers


class OtherShopError(ValueError):
    """The folder holds the files of another shop."""


def write(shop: Shop, folder: Path | str, until: date | None = None) -> list[Path]:
    """Write the shop's files with everything before `until` (default: the plan's end).

    Returns:
        Paths of the files, in order of name. The same shop gives the same bytes.
    """
    return _write(shop.months, shop.catalogue, Path(folder), until or shop.plan.end)


def write_plan(plan: Plan, folder: Path | str, first_month: int = 0) -> list[Path]:
    """Generate a shop and write it month by month, with one month in memory at a time."""
    return _write(months(plan, first_month), catalogue(plan), Path(folder), plan.end)


def make_files(settings: Settings, folder: Path) -> list[Path]:
    """Write the shop that the settings describe; the folder appears once it is complete.

    Returns:
        Paths of the files, in order of name.
    """
    plan = Plan(settings.sample_seed, settings.sample_customers, settings.sample_days)
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)  # left by another plan or an interrupted run
    try:
        write_plan(plan, beside)
    except BaseException:  # a full disk, Ctrl-C
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return sorted(beside.rename(folder).iterdir())


def write_next_day(folder: Path | str, seed: int = 7, customers: int = 5_000) -> date:
    """Extend a shop's files by the next day that has orders.

    Args:
        folder: Folder written earlier with the same seed and number of customers.
        seed: The shop's seed.
        customers: The shop's customers in the first 730 days.

    Returns:
        The day after the added day: the date that can now be scored.

    Raises:
        FileNotFoundError: If the folder holds no orders yet.
        OtherShopError: If the files there are not the beginning of this shop.
    """
    folder = Path(folder)
    newest = _newest_order_day(folder)
    without = _without_campaigns(folder, newest)
    day = newest + timedelta(days=1)  # the files hold the days before `day`
    while True:
        day += timedelta(days=1)
        plan = Plan(seed, customers, (day - START).days, without)
        texts = _continued(folder, plan)
        if _last_order_day(texts) > newest:
            _save(folder, texts | _products_file(catalogue(plan), day))
            return day


def _write(written: Iterable[Month], sold: Catalogue, folder: Path, until: date) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for month in written:
        if first_of_month(month.month) < until:
            paths += _save(folder, _month_files(month.before(until)))
    return sorted(paths + _save(folder, _products_file(sold, until)))


def _month_files(month: Month) -> dict[str, str]:
    """Text of the month's files, by file name."""
    customers, stamp = month.customers.copy(), f"{first_of_month(month.month):%Y-%m}"
    undated = customers.customer_id.str[1:].astype(int) % UNDATED_EVERY == 0
    customers["registered_at"] = customers.registered_at.where(~undated)
    orders, items = _csv(month.orders), _csv(month.order_items)
    _plant(month, orders, items)
    texts = {
        f"customers_{stamp}.csv": "".join(_csv(customers)),
        f"orders_{stamp}.csv": "".join(orders),
        f"order_items_{stamp}.csv": "".join(items),
    }
    if len(month.contacts):
        texts[CONTACTS.format(stamp)] = "".join(_csv(month.contacts))
    return texts


def _plant(month: Month, orders: list[str], items: list[str]) -> None:
    """Insert the planted faults, from the last line up, since an insertion shifts later lines."""
    if len(items) > NO_PRICE:
        fields = items[NO_PRICE].rstrip("\n").split(",")
        fields[0], fields[4] = fields[0] + "-a", "n/a"
        items.insert(NO_PRICE + 1, ",".join(fields) + "\n")
    if len(items) > CUT_OFF:
        items.insert(CUT_OFF + 1, items[CUT_OFF].split(",")[0] + "-b\n")
    if len(items) > TWICE:
        items.insert(TWICE + 1, items[TWICE])
    sales = month.orders[month.orders.order_type == "sale"]
    if len(sales) > STRANGER:
        order = sales.iloc[STRANGER]
        line = int((month.orders.order_id == order.order_id).argmax()) + 1
        fields = orders[line].split(",")
        fields[:2] = [order.order_id + "-c", UNKNOWN_CUSTOMER]
        orders.insert(line + 1, ",".join(fields))
        own = [number for number, item in enumerate(items) if f",{order.order_id}," in item]
        fields = items[own[0]].split(",")
        fields[:2] = [order.order_id + "-c-1", order.order_id + "-c"]
        items.insert(own[-1] + 1, ",".join(fields))


def _products_file(sold: Catalogue, until: date) -> dict[str, str]:
    return {"products.csv": "".join(_csv(products_before(sold, until), "%Y-%m-%d"))}


def _csv(frame: pd.DataFrame, time_format: str = TIME_FORMAT) -> list[str]:
    """Lines of a CSV file, header first, each with its line feed."""
    text = frame.to_csv(
        index=False, float_format="%.2f", date_format=time_format, lineterminator="\n"
    )
    return text.splitlines(keepends=True)


def _save(folder: Path, texts: dict[str, str]) -> list[Path]:
    paths = []
    for name, text in texts.items():
        # Write beside and rename: a concurrent reader sees the old file or the new one.
        beside = folder / f".{name}.part"
        beside.write_text(text)
        paths.append(beside.rename(folder / name))
    return paths


def _newest_order_day(folder: Path) -> date:
    files = list(folder.glob("orders_*.csv"))
    if not files:
        raise FileNotFoundError(f"no orders_*.csv in {folder}: write the shop there first")
    return _last_order_day({path.name: path.read_text() for path in files})


def _last_order_day(texts: dict[str, str]) -> date:
    for name in sorted(texts, reverse=True):
        lines = texts[name].splitlines()
        if name.startswith("orders_") and len(lines) > 1:
            return date.fromisoformat(lines[-1].split(",")[2][:10])
    return START - timedelta(days=1)


def _without_campaigns(folder: Path, newest: date) -> frozenset[int]:
    """Past months without a file of contacts: a version before there were campaigns wrote them."""
    months_so_far = range(month_index(newest) + (newest.day >= CAMPAIGN_DAY))
    stamps = {month: f"{first_of_month(month):%Y-%m}" for month in months_so_far}
    return frozenset(
        month for month, stamp in stamps.items() if not (folder / CONTACTS.format(stamp)).exists()
    )


def _continued(folder: Path, plan: Plan) -> dict[str, str]:
    """Text of the plan's last two months, which begins with what the folder has of them.

    A version before there were bonds may have written the months so far: the earliest month is
    taken from which on the files have bonds.
    """
    first_month = max(plan.months - 2, 0)
    for bonds_from in range(max(first_month - 2, 0), plan.months + 1):
        texts = {
            name: text
            for month in months(replace(plan, bonds_from=bonds_from), first_month)
            for name, text in _month_files(month).items()
        }
        paths = {name: folder / name for name in texts if (folder / name).exists()}
        others = [
            path for name, path in paths.items() if not texts[name].startswith(path.read_text())
        ]
        if not others:
            return texts
    raise OtherShopError(
        f"{others[0]} is not the beginning of this shop's {others[0].name}: give the seed and the "
        "number of customers it was written with, or another folder"
    )
