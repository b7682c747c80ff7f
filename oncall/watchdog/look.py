"""Compare the reporting views, read as a reader does, with what is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from oncall.alerts.causes import CRITICAL, WARNING
from oncall.alerts.incidents import ROLE
from oncall.alerts.words import NO_CONNECTION, WAREHOUSE_GONE, cause_of, shared_cause
from oncall.delivery import MODEL_HEALTH
from oncall.watchdog.due import Landing, is_landing_missing, last_landing_time, newest_due
from oncall.watchdog.findings import (
    ALTERED,
    LOCKED_OUT,
    NO_LANDING,
    UNHELD,
    UNREADABLE,
    Finding,
    ViewState,
    check_view,
)
from perennial import contracts, offers
from perennial.connections import described
from perennial.reader_limit import READER, WARDEN
from perennial.roles import CHECKER
from perennial.settings import Settings
from perennial.warehouse import connect

CUSTOMER = ("customer_id",)
LONGEST_SILENCE_SECONDS = 60  # of the warden, which checks each second


@dataclass(frozen=True)
class Seen:
    """Result of one look.

    Attributes:
        due: The due date; None: no date is due.
        findings: The faults.
        views: Number of views that were checked.
        held: Whether the due date's batch is held.
        first_until: Time until which a first run may take; None once every offered question was
            published, or that time has passed.
    """

    due: date | None
    findings: list[Finding]
    views: int = 0
    held: bool = False
    first_until: datetime | None = None


@dataclass(frozen=True)
class Published:
    """A question's newest publication, with the rows by table of this one and the one before."""

    as_of_date: date
    row_counts: dict[str, int]
    row_counts_before: dict[str, int]


def look(settings: Settings, now: datetime) -> Seen:
    """Compare each reporting view with what is due at a time.

    Args:
        settings: Settings of the home.
        now: Time, with a time zone.

    Returns:
        The findings; a single one if the warehouse does not answer.
    """
    try:
        # CHECKER has the rights of a reader, and a connection that readers can't use up
        with connect(settings, ROLE) as watcher, connect(settings, CHECKER) as reader:
            seen = _look(settings, now, watcher, reader)
            guard = [*_locked_out(settings, watcher), *_warden(watcher)]
        return replace(seen, findings=[*seen.findings, *guard])
    except psycopg.OperationalError as error:
        where = f"{settings.pg_host}:{settings.pg_port}"
        entry = NO_CONNECTION if shared_cause(error) == NO_CONNECTION else WAREHOUSE_GONE
        return Seen(None, [Finding(entry, "warehouse", f"{where}: {cause_of(error)}")])


def _locked_out(settings: Settings, watcher: psycopg.Connection[Any]) -> list[Finding]:
    """A finding if a reader can't connect, with the holders of the connections."""
    try:
        connect(settings, READER).close()
    except psycopg.OperationalError as error:
        text = cause_of(error)
        if shared_cause(error) == NO_CONNECTION:
            text += f"; {described(watcher)}"
        return [Finding(LOCKED_OUT, READER, text)]
    return []


def _warden(watcher: psycopg.Connection[Any]) -> list[Finding]:
    """Findings if the warden is silent, or has reset roles in the last day."""
    findings = []
    is_connected, seconds = watcher.execute(
        "select warden.looked_at() is not null, extract(epoch from clock_timestamp()"
        # the warden starts after Postgres
        " - coalesce(warden.looked_at(), pg_postmaster_start_time()))::int"
    ).fetchone() or (False, 0)
    if seconds > LONGEST_SILENCE_SECONDS:
        since = f"it was silent for {seconds:,} s" if is_connected else "it is not connected"
        text = f"the process that ends long reads does not work ({since})"
        findings.append(Finding(UNHELD, WARDEN, text, WARNING))
    rows = watcher.execute(
        "select role_name, string_agg(distinct changed, ', '), count(*), max(mended_at)"
        " from warden.mended_roles where mended_at > now() - interval '1 day'"
        " group by role_name order by role_name"
    )
    for role, changed, count, last in rows:
        text = f"{changed}; set back {count:,} times, last at {last:%Y-%m-%d %H:%M} UTC"
        findings.append(Finding(ALTERED, role, text, WARNING))
    return findings


def _look(
    settings: Settings,
    now: datetime,
    watcher: psycopg.Connection[Any],
    reader: psycopg.Connection[Any],
) -> Seen:
    landings = _landings(watcher)
    due = newest_due(settings, now, landings)
    published = _published(watcher)
    first = min((one.landed_at for one in landings), default=now)
    until = first + timedelta(hours=settings.due_hours)
    offered = offers.offered(watcher)
    if set(offered) - set(published) and now < until:
        newest = max((one.as_of_date for one in landings), default=None)
        return Seen(newest, [], first_until=until)
    states, findings = [], []
    for view, question, table in _views(offered):
        try:
            with reader.transaction():
                newest, rows = _newest(reader, view)
        except psycopg.Error as error:
            if shared_cause(error):
                raise
            findings.append(Finding(UNREADABLE, view, cause_of(error), as_of_date=due))
            continue
        states.append(_state(watcher, view, newest, rows, published.get(question), table))
    findings += [finding for state in states for finding in check_view(state, due)]
    if is_landing_missing(settings, now, landings) and not findings:
        since = last_landing_time(settings, now)
        text = f"no file since {max(one.landed_at for one in landings):%Y-%m-%d %H:%M} UTC"
        findings.append(Finding(NO_LANDING, "raw", f"{text}, one was due at {since:%H:%M}"))
    held = any(one.status == "held" and one.as_of_date == due for one in landings)
    return Seen(due, findings, len(states), held)


def _views(offered: list[str]) -> list[tuple[str, str, contracts.ScoreTable | None]]:
    """The views with the newest date: name, question and table."""
    views: list[tuple[str, str, contracts.ScoreTable | None]] = [
        (f"reporting.{table.name}", question, table)
        for question in offered
        for table in contracts.load(question).tables
    ]
    views += [(f"reporting.{view}", "", None) for view in contracts.ONE_ROW_VIEWS]
    views.append((f"reporting.{MODEL_HEALTH}", contracts.LOOKBACK, None))
    return views


def _newest(reader: psycopg.Connection[Any], view: str) -> tuple[date | None, int]:
    name = sql.Identifier(*view.split("."))
    row = reader.execute(
        sql.SQL("select max(as_of_date), count(*) from {}").format(name)
    ).fetchone()
    assert row is not None  # an aggregate always has one row
    return row


def _state(
    watcher: psycopg.Connection[Any],
    view: str,
    newest: date | None,
    rows: int,
    published: Published | None,
    table: contracts.ScoreTable | None,
) -> ViewState:
    if view == f"reporting.{MODEL_HEALTH}":  # its newest figures may be of an earlier date
        day = published.as_of_date if published else None
        return ViewState(view, day, rows, may_be_empty=True, severity=WARNING)
    key = table.key if table else contracts.ONE_ROW_VIEWS[view.removeprefix("reporting.")]
    is_of_customers = key == CUSTOMER
    is_newest = published is not None and published.as_of_date == newest
    counts = published.row_counts if published and is_newest else {}
    before = published.row_counts_before if published and is_newest else {}
    return ViewState(
        view,
        newest,
        rows,
        published_rows=counts.get(table.name) if table else None,
        rows_before=before.get(table.name) if table else None,
        known_customers=_known_customers(watcher, newest) if is_of_customers and newest else None,
        may_be_empty=table is not None and table.may_be_empty,
        severity=CRITICAL,
    )


def _known_customers(watcher: psycopg.Connection[Any], day: date) -> int | None:
    row = watcher.execute("select ops.count_known_customers(%s)", [day]).fetchone()
    assert row is not None  # a function call always has one row
    return row[0]


def _landings(watcher: psycopg.Connection[Any]) -> list[Landing]:
    rows = watcher.execute(
        "select as_of_date, status, max(landed_at) from ops.landed_files"
        " where as_of_date is not null group by as_of_date, status"
    )
    return [Landing(*row) for row in rows]


def _published(watcher: psycopg.Connection[Any]) -> dict[str, Published]:
    rows = watcher.execute(
        "select distinct on (question) question, as_of_date, row_counts,"
        " lead(row_counts) over (partition by question order by as_of_date desc)"
        " from ops.publications order by question, as_of_date desc"
    )
    return {
        question: Published(day, counts, before or {}) for question, day, counts, before in rows
    }
