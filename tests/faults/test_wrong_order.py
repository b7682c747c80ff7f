"""Files that come late or out of order; days of 23 and 25 hours, ends of years, leap years."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from benchmarks.steps import Task
from ml_tasks.models import registry
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults import chain, ledger, twins, work

pytestmark = pytest.mark.whole  # in `make test`, tests/sql/test_incremental.py covers the marts

LEAP_DAY, NEXT_DAY, AFTER_THE_CLOCK = date(2024, 2, 29), date(2024, 3, 1), date(2024, 4, 2)
QUESTIONS = ("churn", "demand")
# Files that are late for the first date, and for the second.
LATE = {
    LEAP_DAY: (
        "orders_2023-12.csv",
        "order_items_2023-10.csv",
        "orders_odd.csv",
        "order_items_odd.csv",
    ),
    NEXT_DAY: ("order_items_2023-10.csv", "orders_odd.csv", "order_items_odd.csv"),
}
COMPARED = ("marts.", "features.", "scores.", "reporting.")
# The shop is in London: local time, and its day, computed by hand.
ODD_TIMES = {
    "2023-10-29T01:30:00": "2023-10-29",  # this hour occurs twice
    "2023-12-31T23:59:59": "2023-12-31",
    "2024-01-01T00:00:00": "2024-01-01",
    "2023-12-31T23:30:00-02:00": "2024-01-01",
    "2024-02-28T23:59:59": "2024-02-28",
    "2023-03-26T01:30:00": "2023-03-26",  # this hour does not exist
}  # fmt: skip


def write_odd_orders(folder: Path) -> None:
    """Write orders at moments where the day is easily mistaken."""
    orders = ["order_id,customer_id,ordered_at,country,order_type,refunded_order_id"]
    items = (folder / "order_items_2023-03.csv").read_text().splitlines()
    lines = [items[0]]
    columns = items[0].split(",")
    for number, moment in enumerate(ODD_TIMES):
        orders.append(f"ODD{number},,{moment},United Kingdom,sale,")
        fields = dict(zip(columns, items[1].split(","), strict=True))
        fields |= {"order_id": f"ODD{number}", "order_item_id": f"ODD{number}-1"}
        lines.append(",".join(fields.values()))
    (folder / "orders_odd.csv").write_text("\n".join(orders) + "\n")
    (folder / "order_items_odd.csv").write_text("\n".join(lines) + "\n")


class Shop:
    """A home, its files, and the steps for a date."""

    def __init__(self, settings: Settings, folder: Path, whole: Path) -> None:
        self.settings, self.folder, self.whole = settings, folder, whole
        folder.mkdir()
        registry.initialise(settings)

    def bring(self, day: date, late: tuple[str, ...] = ()) -> None:
        """Add what the shop had written by a day, except late files."""
        chain.write_files(chain.shop(days=480), self.whole, day)
        write_odd_orders(self.whole)
        for path in sorted(self.whole.glob("*.csv")):
            if path.name not in late:
                shutil.copy(path, self.folder)
        self.do(day, "land", "gate raw")

    def make(self, day: date) -> None:
        """Build, score and publish the date."""
        self.do(day, "dbt", "close build", "gate days", "gate features")
        self.do(day, *(f"publish {question}" for question in QUESTIONS))

    def do(self, day: date, *steps: str) -> None:
        for step in steps:
            log = self.settings.home / "logs" / "steps.log"
            work.run(step, Task(self.settings, day, str(self.folder)), log)

    def late_dates(self) -> set[tuple[str, date]]:
        with connect(self.settings, "transformer") as connection:
            return set(connection.execute("select question, as_of_date from ops.late_dates"))


def test_dates_made_again_agree_with_a_shop_where_all_came_in_order(
    start_home: StartHome, tmp_path: Path
) -> None:
    homes = start_home("canonical"), start_home("canonical")
    twins.share_key(*homes)
    in_order, mixed = (
        Shop(home, tmp_path / name, tmp_path / f"{name}-whole")
        for home, name in zip(homes, ("in-order", "mixed"), strict=True)
    )
    for day in (LEAP_DAY, NEXT_DAY, AFTER_THE_CLOCK):
        in_order.bring(day)
        in_order.make(day)
        mixed.bring(day, LATE.get(day, ()))
        mixed.make(day)
    assert in_order.late_dates() == set()
    touched = {(question, day) for question in QUESTIONS for day in (LEAP_DAY, NEXT_DAY)}
    assert mixed.late_dates() == touched

    for question in QUESTIONS:  # retrain models that learnt without the late files
        for day in {day.replace(day=1) for day in (LEAP_DAY, NEXT_DAY)}:
            registry.forget(mixed.settings, question, day)
    for day in (LEAP_DAY, NEXT_DAY, AFTER_THE_CLOCK):
        mixed.make(day)
    assert mixed.late_dates() == set()
    differences = [
        difference
        for difference in twins.differences(mixed.settings, in_order.settings)
        if difference.startswith(COMPARED)
    ]
    assert not differences, "\n".join(differences)
    with connect(mixed.settings, "transformer") as connection:
        days = dict(
            connection.execute(
                "select order_id, ordered_date::text from marts.fct_orders"
                " where order_id like 'ODD%%' order by order_id"
            ).fetchall()
        )
    assert list(days.values()) == list(ODD_TIMES.values())
    ledger.record(
        "wrong order",
        "two of a shop's files a month or four late, lines before their orders; orders in the hour "
        "that came twice and in the one there was not, at both sides of midnight on New Year's "
        "Eve, on the eve of a leap day; dates scored on 29 February and the day after",
        f"ops.late_dates named exactly {len(touched)} question-dates; rerun, all rows of marts, "
        "features, scores and reporting equal those of a shop where everything came in order; "
        "each odd order stands on the day that was worked out by hand",
        files=2 * len(list(mixed.folder.glob("*.csv"))),
        lost=len(differences),
    )
