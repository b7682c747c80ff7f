"""Two sound shops, month by month and day by day: false alarms of the gate of rejects.

Each shop is built once; a build of an earlier date is simulated by the orders before that date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from expectations import rejects
from expectations.reject_shares import Levels
from ingest import batches
from ingest.land import land
from ingest.sample_shop import START, generate, write
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults.ledger import record
from tests.sql.shops import MARTS
from tests.steps import dbt

pytestmark = pytest.mark.whole

LATER = date(2024, 1, 1)
SAMPLE_DAYS = 290
MAX_FALSE_ALARMS = 0.01
READ = {
    "marts.fct_orders": "ordered_date",
    "marts.fct_order_items": "ordered_date",
    "marts.fct_charges": "charged_date",
    "marts.fct_refunds": "refunded_date",
    "intermediate.int_reduced_orders": "ordered_date",
    "intermediate.int_rejected_rows": "ordered_date",
}


def build(settings: Settings, files: Path) -> None:
    landing = land(settings, LATER, str(files), "test")
    assert landing.batch_id is not None
    batches.accept(settings, landing.batch_id, "test")
    dbt(settings, LATER, "run", *MARTS)
    batches.close_build(settings)


def seen_as(seen: str) -> Callable[[re.Match[str]], str]:
    """The visible rows, under the query's alias or a new one."""
    return lambda found: seen if found[1] else f"{seen} seen"


@contextmanager
def as_of(end: date, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restrict the gate's queries to orders before a date."""
    whole = rejects._query

    def before(name: str) -> str:
        query = whole(name)
        for table, day in READ.items():
            seen = f"(select * from {table} where coalesce({day}, date '{end}' - 1) < '{end}') as"
            query = re.sub(rf"{table}\b( as\b)?", seen_as(seen), query)
        return query

    with monkeypatch.context() as patch:
        patch.setattr(rejects, "_query", before)
        yield


def alarms(
    settings: Settings, ends: list[date], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[date, str, str]]:
    """The gate's findings build by build: date, severity, reason."""
    found: list[tuple[date, str, str]] = []
    last: Levels = {}
    month: tuple[date, Levels] | None = None
    with connect(settings, "transformer") as connection:
        for end in ends:
            with as_of(end, monkeypatch):
                now = rejects._levels_now(connection)
            before = {rejects.LAST: last, rejects.MONTH: month[1] if month else {}}
            found += [(end, f.severity, f.reason) for f, _ in rejects._findings(now, before)]
            last = now
            if month is None or end >= month[0] + timedelta(days=rejects.MONTH_DAYS):
                month = (end, now)
    return found


def span(connection: psycopg.Connection[Any]) -> tuple[date, date]:
    row = connection.execute(
        "select min(ordered_date), max(ordered_date) from marts.fct_orders"
    ).fetchone()
    assert row is not None
    return row


def test_a_real_shop_is_quiet_month_by_month(
    start_home: StartHome, online_retail_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = start_home("online_retail")
    build(settings, online_retail_file)
    with connect(settings, "transformer") as connection:
        first, last = span(connection)
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    ends = [
        date(first.year + n // 12, 1 + n % 12, 1) for n in range(first.month, first.month + months)
    ]
    found = alarms(settings, ends, monkeypatch)
    # this data set has 1 to 9 December 2010 twice: 1,156 orders, a correct warning
    assert found == [(date(2011, 1, 1), "warning", "exact duplicate")]
    record(
        "bad input",
        f"online_retail: rejects of each of {len(ends)} real months, checked as they come",
        "0 held, no false warning; one right warning that a month's orders were sent twice",
        injections=0,
    )


@pytest.mark.parametrize("every", [1, 30])
def test_the_sample_shop_is_quiet(
    start_home: StartHome, tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop has a few planted faults each month: they are no reason to wake anybody."""
    settings = start_home("canonical")
    write(generate(seed=7, customers=5_000, days=SAMPLE_DAYS), tmp_path)
    build(settings, tmp_path)
    ends = [START + timedelta(days=n) for n in range(every, SAMPLE_DAYS + 1, every)]
    found = alarms(settings, ends, monkeypatch)
    assert len({end for end, *_ in found}) / len(ends) <= MAX_FALSE_ALARMS, found
    assert not [alarm for alarm in found if alarm[1] == "critical"]
    record(
        "bad input",
        f"sample: rejects of {len(ends)} builds, every {every} days, checked as they come",
        f"0 held, {len(found)} warnings",
        injections=0,
    )
