"""Which date is due, by the schedule and by what was landed. Pure: it is told what time it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from perennial.settings import LANDING_HOUR, SAMPLE_SHOP, Settings
from perennial.shop import own


@dataclass(frozen=True)
class Landing:
    """Files that were landed together, as ops.landed_files has them."""

    as_of_date: date
    status: str
    landed_at: datetime


def newest_due(settings: Settings, now: datetime, landings: Sequence[Landing]) -> date | None:
    """The newest date whose scores readers may expect by now; None: of none.

    With the schedule on each day is due, `due_hours` after its landing was to begin. With it off,
    and for the sample shop, whose calendar is its own, whatever was landed and accepted is, so many
    hours later.

    Args:
        settings: Schedule, time zone and hours.
        now: With a time zone.
        landings: All there are.
    """
    hours = timedelta(hours=settings.due_hours)
    accepted = [
        landing.as_of_date
        for landing in landings
        if landing.status == "accepted" and landing.landed_at <= now - hours
    ]
    if settings.schedule == "on" and settings.source != SAMPLE_SHOP:
        begun = last_landing_time(settings, now - hours)
        # a shop that was set up later in the day begins with the next one
        if any(landing.landed_at <= begun + hours for landing in landings):
            accepted.append(begun.date())
    return max(accepted, default=None)


def last_landing_time(settings: Settings, now: datetime) -> datetime:
    """When the schedule last asked for a landing, shop-local."""
    zone = ZoneInfo(own(settings).time_zone)
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), time(LANDING_HOUR), zone)
    return (
        today
        if today <= local
        else datetime.combine(local.date() - timedelta(days=1), time(LANDING_HOUR), zone)
    )


def is_landing_missing(settings: Settings, now: datetime, landings: Sequence[Landing]) -> bool:
    """Whether the schedule asked for a landing and none came, though there was time for it."""
    if settings.schedule == "off" or not landings:
        return False
    begun = last_landing_time(settings, now - timedelta(hours=settings.due_hours))
    return max(landing.landed_at for landing in landings) < begun
