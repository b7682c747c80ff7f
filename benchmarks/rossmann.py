"""Rossmann's store sales in the canonical form: a store is a product, its sales are units.

Each store's week is one guest's order on its Monday, since forecasts are weekly.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

# Every k-th store: all 1,115 would take an hour of AutoARIMA and add nothing.
EVERY_STORE = 4


def write(raw: Path, folder: Path) -> None:
    """Write orders, order_items, products, and customers.

    Args:
        raw: Folder with `train.csv.gz` and `store.csv`.
        folder: Target; it appears once it is complete.
    """
    sales = pd.read_csv(raw / "train.csv.gz", usecols=["Store", "Date", "Sales"],
                        parse_dates=["Date"])  # fmt: skip
    sales = sales[(sales["Sales"] > 0) & (sales["Store"] % EVERY_STORE == 0)]
    monday = sales["Date"] - pd.to_timedelta(sales["Date"].dt.dayofweek, unit="D")
    weeks = sales.groupby(["Store", monday])["Sales"].sum().rename("quantity").reset_index()
    ids = "W" + weeks["Store"].astype(str) + "-" + weeks["Date"].dt.strftime("%Y%m%d")
    stores = pd.read_csv(raw / "store.csv")
    stores = stores[stores["Store"] % EVERY_STORE == 0]
    tables = {
        # a customer without orders: the gate stops a shop without customers
        "customers": pd.DataFrame(
            [{"customer_id": "C1", "registered_at": "2013-01-01T00:00:00", "country": "Germany"}]
        ),
        "orders": pd.DataFrame(
            {
                "order_id": ids,
                "customer_id": "",
                "ordered_at": weeks["Date"].dt.strftime("%Y-%m-%dT12:00:00"),
                "country": "Germany",
                "order_type": "sale",
                "refunded_order_id": "",
            }
        ),
        "order_items": pd.DataFrame(
            {
                "order_item_id": ids + "-1",
                "order_id": ids,
                "product_id": _product(weeks["Store"]),
                "quantity": weeks["quantity"],
                "unit_price_amount": "1.00",
                "line_type": "product",
            }
        ),
        "products": pd.DataFrame(
            {
                "product_id": _product(stores["Store"]),
                "product_name": "Store " + stores["Store"].astype(str),
                "product_family": stores["StoreType"] + stores["Assortment"],
                "list_price_amount": "1.00",
                "introduced_date": "2013-01-01",
                "discontinued_date": "",
            }
        ),
    }
    beside = folder.with_name(f"{folder.name}.part")
    beside.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(beside / f"{name}.csv", index=False)
    beside.rename(folder)


def _product(store: pd.Series) -> pd.Series:
    return "S" + store.astype(str).str.zfill(4)
