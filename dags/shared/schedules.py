"""What starts a landing: the clock, the sample shop's next day, or only a person.

The schedule is off unless somebody turned it on (PERENNIAL_SCHEDULE): orders of 2011 must not be
scored for today at midnight.
"""

from typing import Any

from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable

from dags.shared.assets import SAMPLE_DAY
from perennial.settings import SAMPLE_SHOP, Settings

EARLY_MORNING = "0 5 * * *"
BY_HAND = ["manual", "backfill"]

_settings = Settings()


def landing() -> dict[str, Any]:
    """Arguments of the DAG that lands: its schedule, and which kinds of runs it takes."""
    if _settings.schedule == "on" and _settings.source == SAMPLE_SHOP:
        return {"schedule": PartitionedAssetTimetable(assets=SAMPLE_DAY)}
    each_day = CronPartitionTimetable(
        EARLY_MORNING, timezone=_settings.time_zone or "UTC", key_format="%Y-%m-%d"
    )
    kinds = None if _settings.schedule == "on" else BY_HAND
    return {"schedule": each_day, "allowed_run_types": kinds}


def sample_day() -> str | None:
    """Cron of the DAG that makes the sample shop's next day."""
    return EARLY_MORNING if _settings.schedule == "on" else None
