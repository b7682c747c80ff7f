"""Compute which date is due from the schedule and the landings. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from perennial.settings import LANDING_HOUR, SAMPLE_SHOP, Settings
from perennial.shop import own


@dataclass(frozen=True)
class Landing:
    """Files of ops.landed_files with one date and status; `landed_at` is the newest."""

    as_of_date: date
    status: str
    landed_at: datetime


def newest_due(settings: Settings, now: datetime, landings: Sequence[Landing]) -> date | None:
    """The newest date for which readers may expect scores by now; None if there is none.

    An accepted landing's date is due `due_hours` after the landing. With the schedule on, each day
    is also due `due_hours` after its landing was to begin; except for the sample shop, which has
    its own calendar.

    Args:
        settings: Schedule, time zone and `due_hours`.
        now: Time, with a time zone.
        landings: All landings.
    """
    hours = timedelta(hours=settings.due_hours)
    accepted = [
        landing.as_of_date
        for landing in landings
        if landing.status == "accepted" and landing.landed_at <= now - hours
    ]
    if settings.schedule == "on" and settings.source != SAMPLE_SHOP:
        begun = last_landing_time(settings, now - hours)
        # a shop that was set up later in the day is due from the next day on
        if any(landing.landed_at <= begun + hours for landing in landings):
            accepted.append(begun.date())
    return max(accepted, default=None)


def last_landing_time(settings: Settings, now: datetime) -> datetime:
    """Time, shop-local, at which the schedule last started a landing."""
    zone = ZoneInfo(own(settings).time_zone)
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), time(LANDING_HOUR), zone)
    return (
        today
        if today <= local
        else datetime.combine(local.date() - timedelta(days=1), time(LANDING_HOUR), zone)
    )


def is_landing_missing(settings: Settings, now: datetime, landings: Sequence[Landing]) -> bool:
    """Whether a scheduled landing is missing `due_hours` after it was to begin."""
    if settings.schedule == "off" or not landings:
        return False
    begun = last_landing_time(settings, now - timedelta(hours=settings.due_hours))
    return max(landing.landed_at for landing in landings) < begun
