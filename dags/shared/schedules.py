"""Schedules: a landing is started by the clock, by the sample shop's next day, or by a person only.

The schedule is off by default (PERENNIAL_SCHEDULE), since orders of 2011 must not be scored for
today.
"""

from airflow.sdk import (
    CronPartitionTimetable,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
)

from dags.shared.assets import SAMPLE_DAY
from perennial.settings import LANDING_HOUR, SAMPLE_SHOP, Settings
from perennial.shop import own

EARLY_MORNING = f"0 {LANDING_HOUR} * * *"
MONDAY_MORNING = "0 7 * * 1"

_settings = Settings()


def landing() -> PartitionedAtRuntime | PartitionedAssetTimetable | CronPartitionTimetable:
    """Schedule of the DAG that lands; with the schedule off, only people and the API start it."""
    if _settings.schedule == "off":
        return PartitionedAtRuntime()
    if _settings.source == SAMPLE_SHOP:
        return PartitionedAssetTimetable(assets=SAMPLE_DAY)
    zone = own(_settings).time_zone
    return CronPartitionTimetable(EARLY_MORNING, timezone=zone, key_format="%Y-%m-%d")


def training() -> CronTriggerTimetable | None:
    """Schedule of the DAGs that train: after Monday's landing, for the first date of a week."""
    if _settings.schedule == "off":
        return None
    return CronTriggerTimetable(MONDAY_MORNING, timezone=own(_settings).time_zone)


def sample_day() -> str | None:
    """Cron of the DAG that writes the sample shop's next day; None with the schedule off."""
    return EARLY_MORNING if _settings.schedule == "on" else None
