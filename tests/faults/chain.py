"""Steps of the daily chain for tests that kill and rerun them, and their sample shop."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from benchmarks.steps import DAILY, Task, dbt
from ingest.sample_shop import Shop, generate, write

SEED, CUSTOMERS = 7, 300
# Dates to score of a shop that is a year old: first with new models and ended horizons, then the
# following days.
DAYS = (date(2024, 1, 10), date(2024, 2, 12), date(2024, 2, 13), date(2024, 3, 18))


def dbt_full_refresh(task: Task) -> None:
    dbt(task, "--full-refresh")


STEPS = {**DAILY, "dbt full refresh": dbt_full_refresh}


def shop(days: int = 450, customers: int = CUSTOMERS) -> Shop:
    """A sample shop, in memory; the same for the same arguments."""
    return generate(SEED, customers, days)


def write_files(of: Shop, folder: Path, as_of_date: date) -> str:
    """Write the shop's files as of a date; later ones only append."""
    write(of, folder, until=as_of_date)
    return str(folder)
