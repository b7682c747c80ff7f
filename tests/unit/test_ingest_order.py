"""The order of files that land together."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from ingest.order import in_order


def never(name: str) -> datetime | None:
    raise AssertionError(f"the name of {name} says it")


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["orders_2.csv", "orders_10.csv", "orders_100.csv"], id="numbers"),
        pytest.param(["orders.csv", "orders (1).csv", "orders (2).csv"], id="a browser's copies"),
        pytest.param(["2024-5.csv", "2024-10.csv", "2025-1.csv"], id="months without a nought"),
        pytest.param(["in/9/orders.csv", "in/10/orders.csv"], id="folders"),
        pytest.param(["m=2024-9/part-7.parquet", "m=2024-10/part-1.parquet"], id="Hive"),
        pytest.param(["y=2024/m=9/p-a1.csv", "y=2024/m=10/p-a0.csv"], id="Hive, a folder a part"),
        pytest.param(["orders_06-2023.csv", "orders_05-2024.csv"], id="month before year"),
        pytest.param(["31.12.2023.csv", "01.02.2024.csv", "02.02.2024.csv"], id="day first"),
        pytest.param(["12-31-2023.csv", "01-02-2024.csv", "02-01-2024.csv"], id="month first"),
        pytest.param(["Dec 2023.csv", "jan-2024.csv", "February_2024.csv"], id="month's name"),
        pytest.param(["old 2024-05.csv", "export 20240610.csv"], id="dates in other words"),
        pytest.param(["2024-05-31T9.csv", "2024-05-31T10.csv"], id="same day"),
    ],
)
def test_names_say_the_order(names):
    for seed in range(5):
        given = random.Random(seed).sample(names, len(names))
        assert in_order([f"/data/{name}" for name in given], str, never) == [
            f"/data/{name}" for name in names
        ]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["orders_b.csv", "orders_a.csv", "orders_c.csv"], id="letters"),
        pytest.param(["01.03.2024.csv", "02.01.2024.csv", "01.02.2024.csv"], id="day or month"),
        pytest.param(["mayfair 2024.csv", "soho 2023.csv"], id="a word that begins like a month"),
    ],
)
def test_where_names_do_not_say_it_the_newest_order_does(names):
    times = {name: datetime(2024, 5, day, tzinfo=UTC) for day, name in enumerate(names, 1)}
    assert in_order(sorted(names), str, times.get) == names
    assert in_order(sorted(names), str, lambda name: None) == sorted(names)
