"""The data and dates on which both sides are compared.

Every date here is fixed before anything is fitted. The open dates were used for tuning. RESERVED
dates are neither built nor exported nor compared unless `FINAL=yes`; their windows lie inside open
ones, so they only show that nothing was fitted to a single date. Unseen shops are in the panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from perennial.settings import REPOSITORY

# Public data sets, which are no part of the repository.
SHARED = REPOSITORY.parent / "shared" / "data"

SAMPLE_SEEDS, RESERVED_SEEDS = (11, 12, 13), (101, 102, 103)
SAMPLE_CUSTOMERS, SAMPLE_DAYS = 2_000, 1_095

HORIZON_DAYS = 90
YEAR_DAYS = 365
HORIZON_WEEKS = 8
MAX_CUTS = 8
MAX_ORIGINS = 6


@dataclass(frozen=True)
class Data:
    """One shop and its evaluation dates.

    Attributes:
        name: Name of its folder in the workspace.
        group: Shops of one group share a table; each of their cuts is a cut of the table.
        source: Folder in dbt_project/models/staging.
        files: What is landed: a file, or a folder in the canonical form.
        cuts: Dates evaluated over the next 90 days, and further as far as known.
        year_cuts: Dates evaluated over the next 365 days.
        origins: Mondays, each the first day of 8 forecast weeks.
        seed: Seed of a sample shop, which is written first.
        known_weeks: File of product_id and week_start_date of the known weeks, beside `files`;
            None if all weeks are known.
    """

    name: str
    group: str
    source: str
    files: Path
    cuts: tuple[date, ...] = ()
    year_cuts: tuple[date, ...] = ()
    origins: tuple[date, ...] = ()
    seed: int | None = field(default=None)
    known_weeks: Path | None = field(default=None)


def _days(*texts: str) -> tuple[date, ...]:
    return tuple(date.fromisoformat(text) for text in texts)


CUTS = _days(
    "2010-12-10", "2011-02-10", "2011-03-10", "2011-04-10",
    "2011-05-10", "2011-06-10", "2011-08-10", "2011-09-10",
)  # fmt: skip
RESERVED_CUTS = _days("2011-01-10", "2011-07-10")
# A year's outcome is known for days up to the first of these two only.
YEAR_CUTS = _days("2010-12-09", "2010-09-10")
ORIGINS = _days(
    "2010-11-08", "2011-02-07", "2011-04-04", "2011-06-06", "2011-08-01", "2011-10-10"
)  # fmt: skip
RESERVED_ORIGINS = _days("2011-03-07", "2011-09-05")
SAMPLE_CUTS = _days("2024-07-10", "2024-11-10")
ROSSMANN_ORIGINS = _days("2014-11-03", "2015-01-05", "2015-03-02", "2015-04-13", "2015-06-01")


def shops(workspace: Path, shared: Path, *, final: bool) -> list[Data]:
    """The shops to compare; with `final`, only the reserved cuts and seeds."""
    retail = Data(
        "online_retail",
        "Online Retail II",
        "online_retail",
        shared / "online_retail_ii" / "online_retail_II.csv.gz",
        RESERVED_CUTS if final else CUTS,
        () if final else YEAR_CUTS,
        RESERVED_ORIGINS if final else ORIGINS,
    )
    samples = [
        Data(
            f"sample_{seed}",
            "Sample shop",
            "canonical",
            workspace / "files" / f"sample_{seed}",
            SAMPLE_CUTS,
            SAMPLE_CUTS,
            seed=seed,
        )
        for seed in (RESERVED_SEEDS if final else SAMPLE_SEEDS)
    ]
    rossmann = Data(
        "rossmann",
        "Rossmann",
        "canonical",
        workspace / "files" / "rossmann",
        origins=() if final else ROSSMANN_ORIGINS,
    )
    return [retail, *samples, rossmann]


def share_inside(windows: Sequence[date], others: Sequence[date], days: int) -> float:
    """Share of the windows' days that lie inside one of the other windows, in [0, 1].

    Args:
        windows: First day of each window.
        others: First day of each window that was looked at before.
        days: Length of a window, in days.
    """

    def covered(firsts: Sequence[date]) -> set[date]:
        return {first + timedelta(days=number) for first in firsts for number in range(days)}

    inside = covered(windows)
    return len(inside & covered(others)) / len(inside)


def dated(folder: Path, first_day: date, end: date) -> Data:
    """A user's folder with the newest dates that can be evaluated, chosen by its length.

    Args:
        folder: Files in the canonical form.
        first_day: Day of the first order.
        end: The day after the newest order, with nothing known about it.
    """
    begin = first_day + timedelta(days=2 * HORIZON_DAYS)
    newest = end - timedelta(days=HORIZON_DAYS)
    cuts = [newest - timedelta(days=30 * number) for number in range(MAX_CUTS)]
    monday = end - timedelta(days=end.weekday() + 7 * HORIZON_WEEKS)
    origins = [monday - timedelta(weeks=HORIZON_WEEKS * number) for number in range(MAX_ORIGINS)]
    year = [cut for cut in cuts if cut + timedelta(days=YEAR_DAYS) <= end]
    return Data(
        folder.name,
        folder.name,
        "canonical",
        folder,
        tuple(sorted(cut for cut in cuts if cut >= begin)),
        tuple(sorted(cut for cut in year if cut >= begin)),
        tuple(sorted(day for day in origins if day >= first_day + timedelta(weeks=26))),
    )
