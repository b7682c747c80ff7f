"""How long a running server takes to answer: `python -m benchmarks.serving [A_SECOND] [SECONDS]`.

It asks the server of this home (`make serve`) at a steady pace, whatever the earlier answers take,
for customers, products and carts by turns, and then for fresh scores, one after the other.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

import httpx
import numpy as np

from perennial.settings import SERVE_TOKEN, Settings
from perennial.warehouse import connect

A_SECOND, SECONDS = 50, 20
COUNT_FRESH = 50
Request = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def main(a_second: int = A_SECOND, seconds: int = SECONDS) -> int:
    """Print percentiles of the waiting times; return 1 if an answer was an error."""
    return asyncio.run(_measure(Settings(), a_second, seconds))


async def _measure(settings: Settings, a_second: int, seconds: int) -> int:
    headers = {"Authorization": f"Bearer {settings.password(SERVE_TOKEN)}"}
    base_url = f"http://{settings.serve_host}:{settings.serve_port}"
    customers, products = _ids(settings, "customer_360"), _ids(settings, "product_outlook")
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=30) as client:
        published = islice(_published(customers, products), a_second * seconds)
        tasks = []
        started = time.perf_counter()
        for number, request in enumerate(published):
            await asyncio.sleep(started + number / a_second - time.perf_counter())
            tasks.append(asyncio.create_task(_timed(client, request)))
        of_published = await asyncio.gather(*tasks)
        of_fresh = [
            await _timed(client, _get(f"/customers/{customer}/scores"))
            for customer in customers[:COUNT_FRESH]
        ]
    for name, waits in (("published", of_published), ("scored afresh", of_fresh)):
        p50, p99, most = np.quantile(waits, [0.5, 0.99, 1]) * 1000
        print(
            f"{name}: {len(waits)} answers, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms"
        )
    return int(not np.isfinite([*of_published, *of_fresh]).all())


def _ids(settings: Settings, view: str) -> list[str]:
    key = "customer_id" if view == "customer_360" else "product_id"
    with connect(settings, "bi_reader") as connection:
        query = f"select {key} from reporting.{view} order by md5({key})"
        return [value for (value,) in connection.execute(query)]


def _published(customers: list[str], products: list[str]) -> cycle[Request]:
    carts = [products[start : start + 5] for start in range(0, len(products) - 5, 5)]
    kinds = zip(cycle(customers), products, cycle(carts), strict=False)
    return cycle(
        [
            request
            for customer, product, cart in kinds
            for request in (
                _get(f"/customers/{customer}"),
                _get(f"/products/{product}"),
                _post(cart),
            )
        ]
    )


def _get(path: str) -> Request:
    return lambda client: client.get(path)


def _post(cart: list[str]) -> Request:
    return lambda client: client.post("/cart", json={"product_ids": cart})


async def _timed(client: httpx.AsyncClient, request: Request) -> float:
    """Seconds until the answer; infinite if it is an error."""
    started = time.perf_counter()
    answer = await request(client)
    return time.perf_counter() - started if answer.status_code == 200 else float("inf")


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
