"""Print the faults of the scores that readers see, one line a finding: `perennial watch`.

The watchdog is independent of what it watches: it does not need Airflow, and it can report that the
warehouse is down. Findings can be sent like any other alert: once, again after a day, and when they
are over.
"""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

import psycopg

from oncall.alerts import routes
from oncall.alerts.causes import DATA_PLATFORM, WATCHDOG, Cause
from oncall.alerts.notify import notify, recovered
from oncall.alerts.words import NO_CONNECTION, WAREHOUSE_GONE, cause_of
from oncall.watchdog.findings import ALTERED, LOCKED_OUT, UNHELD, Finding
from oncall.watchdog.look import Seen, look
from oncall.watchdog.suspects import likely_cause
from perennial.settings import Settings, SettingsError

HAS_FINDINGS = 1  # exit code
SHARED = (NO_CONNECTION, WAREHOUSE_GONE)  # causes that tasks report, too
NOT_OF_A_DATE = (ALTERED, LOCKED_OUT, NO_CONNECTION, UNHELD)


def watch(settings: Settings, now: datetime, *, is_alert: bool) -> int:
    """Look once and print the findings.

    Args:
        settings: Settings of the home.
        now: Time for which to check what is due, with a time zone.
        is_alert: Whether to send the findings, and their end, as alerts.

    Returns:
        Exit code: 0 without findings, 1 with findings.

    Raises:
        SettingsError: If the home was never started with this version.
    """
    try:
        return _watch(settings, now, is_alert)
    except psycopg.Error as error:
        raise SettingsError(f"{cause_of(error)}; `make run` brings the home up to date") from None


def _watch(settings: Settings, now: datetime, is_alert: bool) -> int:
    routes.check(settings)
    seen = look(settings, now)
    why = _why(settings, seen, now) if seen.findings or seen.first_until else None
    for finding in seen.findings:
        print(finding)
    if why:
        print(f"likely: {why}")
    if seen.first_until:
        until = f"{seen.first_until:%Y-%m-%d %H:%M} UTC"
        print(f"info: not every question was ever published; a first run has until {until}")
    elif not seen.findings:
        due = f"of {seen.due}" if seen.due else "(no date is due)"
        print(f"well: {seen.views} reporting views have what is due {due}")
    if is_alert:
        _notify(settings, seen.findings, why)
    return HAS_FINDINGS if seen.findings else 0


def _why(settings: Settings, seen: Seen, now: datetime) -> str | None:
    if all(finding.entry in NOT_OF_A_DATE for finding in seen.findings):
        return None  # these findings name their cause
    if seen.held:
        return f"the batch of {seen.due} is held: make accept, or make refuse"
    return likely_cause(settings, seen.due, now)


def _notify(settings: Settings, findings: list[Finding], why: str | None) -> None:
    causes = [
        _cause(finding, None if finding.entry in NOT_OF_A_DATE else why) for finding in findings
    ]
    by_severity = sorted(causes, key=lambda cause: cause.severity)
    for _, together in groupby(by_severity, key=lambda cause: cause.severity):
        notify(settings, list(together))
    if not any(finding.entry in SHARED for finding in findings):
        recovered(settings, [WATCHDOG], None, [cause.key for cause in causes])


def _cause(finding: Finding, why: str | None) -> Cause:
    is_view = finding.about.startswith("reporting.")
    # a shared cause has the same key as a task's, so the first observer's alert is the only one
    is_shared = finding.entry in SHARED
    return Cause(
        key=finding.entry if is_shared else f"{WATCHDOG}: {finding.entry}: {finding.about}",
        kind=WATCHDOG,
        severity=finding.severity,
        title=f"{finding.entry}: {finding.about}",
        summary=f"{finding.about}: {finding.text}",
        step=WATCHDOG,
        as_of_date=finding.as_of_date,
        owner=DATA_PLATFORM,
        entry=finding.entry,
        table=finding.about if is_view else None,
        blocks=(finding.about,) if is_view else (),
        likely=why,
    )
