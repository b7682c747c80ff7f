"""The text of an alert: what broke, for which date, its owner, what waits for it, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from oncall.alerts.causes import RUNBOOK, Cause, Incident

NOT_KNOWN = "not known: the warehouse does not answer"

READERS_ARE_SAFE = "readers still see the last good date"
READERS_ARE_NOT = "readers get an error until it answers"

LastGood = Mapping[str, date]


def subject_of(cause: Cause, count_others: int = 0) -> str:
    """Subject line, short enough for a telephone: severity, title, date, owner."""
    when = f" for {cause.as_of_date}" if cause.as_of_date else ""
    more = f" and {count_others} more" if count_others else ""
    return f"Perennial {cause.severity}: {cause.title}{when}{more} ({cause.owner})"


def body_of(
    seen: Sequence[tuple[Cause, Incident]], count_held_back: int, last_good: LastGood | None
) -> str:
    """Body of the message about causes that one observer saw together.

    Args:
        seen: Causes with their incidents, at least one. Owner and link are taken from the first.
        count_held_back: Number of further causes, which were notified before.
        last_good: Newest published date by question; None: not known.
    """
    cause, _ = seen[0]
    blocks = sorted({view for one, _ in seen for view in one.blocks})
    tables = sorted({one.table for one, _ in seen if one.table})
    entries = list(dict.fromkeys(one.entry for one, _ in seen))
    lines = [_line(one, incident) for one, incident in seen]
    if count_held_back:
        lines.append(f"({count_held_back} more, reported before and still open)")
    meanwhile = READERS_ARE_SAFE if last_good is not None else READERS_ARE_NOT
    facts = {
        "Likely cause": cause.likely,
        "Table": ", ".join(tables),
        "First bad date": _text(
            min((i.first_bad_date for _, i in seen if i.first_bad_date), default=None)
        ),
        "Owner": cause.owner,
        "Blocks": f"{', '.join(blocks)} ({meanwhile})" if blocks else "nothing that readers see",
        "Last good": _dates(last_good),
        "Look at": cause.link,
        "What to do": ", ".join(f"{RUNBOOK}#{anchor(entry)}" for entry in entries),
    }
    return "\n".join([*lines, "", *(f"{name}: {text}" for name, text in facts.items() if text)])


def end_of(over: Sequence[Incident], word: str, as_of_date: date | None) -> tuple[str, str]:
    """Subject and body of the message that incidents are over.

    Args:
        over: The closed incidents, at least one.
        word: How they ended: recovered; or accepted or refused, by a person.
        as_of_date: Date for which a step succeeded; None if a person decided.
    """
    first = over[0]
    more = f" and {len(over) - 1} more" if len(over) > 1 else ""
    subject = f"Perennial {word}: {first.title}{more} ({first.owner})"
    lines = []
    for incident in over:
        assert incident.closed_at is not None
        since = f", first bad date {incident.first_bad_date}" if incident.first_bad_date else ""
        lines.append(
            f"{incident.title}: over after {_duration(incident.closed_at - incident.opened_at)}, "
            f"seen {_times(incident.seen_count)}{since}"
        )
    if as_of_date:
        lines.append(f"It succeeded for {as_of_date}.")
    return subject, "\n".join(lines)


def anchor(heading: str) -> str:
    """Anchor of a heading of a Markdown page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _line(cause: Cause, incident: Incident) -> str:
    if incident.seen_count == 1:
        return cause.summary
    steps = ", ".join(incident.steps)
    return (
        f"{cause.summary}\n  open since {incident.opened_at:%Y-%m-%d %H:%M} UTC, "
        f"seen {_times(incident.seen_count)}, by {steps}"
    )


def _dates(last_good: LastGood | None) -> str:
    """Format the dates by question, as in `churn, clv 2024-03-01; demand 2024-02-01`."""
    if last_good is None:
        return NOT_KNOWN
    days = sorted(set(last_good.values()), reverse=True)
    groups = (", ".join(q for q, day in sorted(last_good.items()) if day == of) for of in days)
    return "; ".join(f"{names} {day}" for names, day in zip(groups, days, strict=True)) or "never"


def _text(day: date | None) -> str | None:
    return str(day) if day else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _duration(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
