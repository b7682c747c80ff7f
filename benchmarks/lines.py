"""Order lines of the tuning shops, for benchmarks that read what was ordered together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.data import SHARED

console = Console()


def shops(names: Iterable[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and lines: customer_id, order_number, ordered_date, product_id, product_name."""
    makers = {"online_retail": online_retail, "complete_journey": complete_journey}
    for name in names:
        if name == "planted":
            yield name, planted()
        elif (found := makers[name](SHARED)) is not None:
            yield name, found
        else:
            console.print(f"{name}: its data set is not there, left out")


def online_retail(shared: Path) -> pd.DataFrame | None:
    """Sales of Online Retail II to customers; guests and cancellations are left out."""
    path = shared / "online_retail_ii" / "online_retail_II.csv.gz"
    if not path.exists():
        return None
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).drop_duplicates()
    rows["code"] = rows["StockCode"].str.strip().str.upper()
    is_sale = rows["Quantity"].astype(float).gt(0) & ~rows["Invoice"].str.startswith(("C", "A"))
    is_product = rows["code"].str.match(r"^\d{5}") & rows["Price"].astype(float).gt(0)
    rows = rows[is_sale & is_product & rows["Customer ID"].ne("")]
    return pd.DataFrame(
        {
            "customer_id": rows["Customer ID"].str.split(".").str[0],
            "order_number": pd.factorize(rows["Invoice"])[0],
            "ordered_date": pd.to_datetime(rows["InvoiceDate"]).dt.normalize(),
            "product_id": rows["code"],
            "product_name": rows["Description"].str.strip(),
        }
    ).reset_index(drop=True)


def complete_journey(shared: Path) -> pd.DataFrame | None:
    """All lines of the grocer's baskets; products have no names."""
    path = shared / "complete_journey" / "lines.parquet"
    if not path.exists():
        return None
    rows = pd.read_parquet(path, columns=["customer_id", "order_id", "ordered_at", "product_id"])
    return pd.DataFrame(
        {
            "customer_id": rows["customer_id"].astype(str),
            "order_number": pd.factorize(rows["order_id"])[0],
            "ordered_date": rows["ordered_at"].dt.normalize(),
            "product_id": rows["product_id"].astype(str),
            "product_name": None,
        }
    )


def planted(customers: int = 1500, families: int = 12, size: int = 25) -> pd.DataFrame:
    """Customers with a taste for one family each, who order 3 of 4 products from it."""
    random = np.random.default_rng(7)
    popular = 1 / np.arange(1, size + 1) ** 0.8
    popular /= popular.sum()
    rows, order = [], 0
    for number_ in range(customers):
        taste = int(random.integers(families))
        for day in np.flatnonzero(random.random(700) < random.gamma(2.0, 0.008)):
            order += 1
            for _ in range(1 + random.poisson(2)):
                family = taste if random.random() < 0.75 else int(random.integers(families))
                product = f"p{family:02d}-{random.choice(size, p=popular):02d}"
                rows.append((f"c{number_:05d}", order, int(day), product))
    found = pd.DataFrame(rows, columns=["customer_id", "order_number", "day", "product_id"])
    found["ordered_date"] = pd.Timestamp("2020-02-01") + pd.to_timedelta(found.pop("day"), unit="D")
    return found.drop_duplicates(["order_number", "product_id"]).assign(product_name=None)


def names_of(lines: pd.DataFrame) -> pd.DataFrame:
    """The most usual name of each product, ascending by id."""
    counts = lines.groupby(["product_id", "product_name"], dropna=False).size()
    best = (
        counts.rename("n").reset_index().sort_values(["product_id", "n"], ascending=[True, False])
    )
    found = best.drop_duplicates("product_id")[["product_id", "product_name"]]
    return found.sort_values("product_id").reset_index(drop=True)
