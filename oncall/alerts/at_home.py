"""Keep incidents in a small file of the home while the warehouse does not answer."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from oncall.alerts.causes import AGAIN, OPENED, Cause, Incident
from perennial.settings import Settings


def note(settings: Settings, cause: Cause, again: timedelta) -> tuple[Incident, str | None]:
    """Count a cause as seen, as `incidents.note` does in the warehouse.

    Returns:
        The incident, and the event to notify of: opened, again, or None while it is held back.

    Raises:
        OSError: If the home can't be written to.
    """
    now = datetime.now(UTC)
    with kept(settings) as known_causes:
        known = known_causes.get(cause.key)
        is_new = known is None or known.last_told_at is None or known.last_told_at <= now - again
        dates = [day for day in (known and known.first_bad_date, cause.as_of_date) if day]
        incident = Incident(
            incident_id=0,
            cause=cause.key,
            kind=cause.kind,
            severity=cause.severity,
            title=cause.title,
            summary=cause.summary,
            owner=cause.owner,
            runbook_entry=cause.entry,
            table_name=cause.table,
            steps=sorted({cause.step, *(known.steps if known else ())}),
            first_bad_date=min(dates, default=None),
            last_bad_date=max(
                [day for day in (known and known.last_bad_date, cause.as_of_date) if day],
                default=None,
            ),
            run_id=cause.run_id,
            seen_count=known.seen_count + 1 if known else 1,
            opened_at=known.opened_at if known else now,
            last_seen_at=now,
            last_told_at=now if is_new or known is None else known.last_told_at,
        )
        known_causes[cause.key] = incident
    return incident, (AGAIN if known else OPENED) if is_new else None


def mark_undelivered(settings: Settings, incident: Incident) -> None:
    """Record that nobody got the message, so that the cause is notified when it is next seen."""
    with kept(settings) as known_causes:
        known_causes[incident.cause] = replace(incident, last_told_at=None)


def has_any(settings: Settings) -> bool:
    """Whether the home's file exists; cheap."""
    return _file(settings).exists()


def _file(settings: Settings) -> Path:
    return settings.home / "run" / "incidents.json"


@contextmanager
def kept(settings: Settings) -> Iterator[dict[str, Incident]]:
    """Lock the home's file, yield its incidents by cause, and write them back at the end."""
    path = _file(settings)
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        by_cause = _read(path)
        yield by_cause
        if not by_cause:
            path.unlink(missing_ok=True)
            return
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps([asdict(one) for one in by_cause.values()], default=str))
        os.replace(draft, path)


def _read(path: Path) -> dict[str, Incident]:
    if not path.exists():
        return {}
    by_cause = {}
    for row in json.loads(path.read_text()):
        for name, value in row.items():
            if name.endswith("_date"):
                row[name] = value and date.fromisoformat(value)
            elif name.endswith("_at"):
                row[name] = value and datetime.fromisoformat(value)
        by_cause[row["cause"]] = Incident(**row)
    return by_cause
