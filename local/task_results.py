"""What a task returned and what it logged, in the words that a person reads while waiting."""

from __future__ import annotations

from typing import Any

LOG_LINES = 25
# What a line says anyway, or what nobody reads while waiting.
LEFT_OUT = {"as_of_date", "checksum", "gate", "not_scored_counts", "question", "seconds"}
LOG_FRAME = ("::group::", "::endgroup::")


def summarise(value: Any) -> str:
    """A task's result in one line: `given 1,067,371, landed 1,067,371, rejected 0`."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    parts = []
    for key, item in value.items():
        if key in LEFT_OUT:
            continue
        if isinstance(item, dict):  # rows by table
            parts += [f"{name} {count:,}" for name, count in item.items() if isinstance(count, int)]
        elif isinstance(item, int) and not isinstance(item, bool):
            parts.append(f"{key.replace('_', ' ')} {item:,}")
        elif isinstance(item, str):
            parts.append(f"{key.replace('_', ' ')} {item}")
    return ", ".join(parts)


def count_rows(value: Any) -> str:
    """The counts in a task's result; empty: it has none."""
    if not isinstance(value, dict):
        return summarise(value)
    counts = {
        key: item
        for key, item in value.items()
        if isinstance(item, int | dict) and not key.endswith("_id")
    }
    return summarise(counts)


def log_tail(content: Any) -> list[str]:
    """The last lines of a task's log as Airflow's API gives it: structured events, or text."""
    if isinstance(content, str):
        return content.splitlines()[-LOG_LINES:]
    lines = []
    for event in content:
        text = str(event.get("event", event))
        if not text.startswith(LOG_FRAME):
            lines.append(text)
        for error in event.get("error_detail") or []:
            lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return lines[-LOG_LINES:]
