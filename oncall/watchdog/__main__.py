"""Say what is wrong with the scores that readers see, a line a finding; exit 1 if anything is.

A plain command for cron, apart from what it watches: it needs neither Airflow nor, to say so, the
warehouse. With `--alert` findings are told as any other alert is: once, again after a day, and when
they are over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import psycopg
from pydantic import ValidationError

from oncall.alerts import routes
from oncall.alerts.causes import DATA_PLATFORM, WATCHDOG, Cause
from oncall.alerts.tell import recovered, tell
from oncall.alerts.words import NO_CONNECTION, WAREHOUSE_GONE, cause_of
from oncall.watchdog.findings import ALTERED, LOCKED_OUT, UNHELD, Finding
from oncall.watchdog.look import Seen, look
from oncall.watchdog.suspects import likely_cause
from perennial.machine import refusal
from perennial.settings import Settings, SettingsError, explained, shop_of

FOUND, WRONG = 1, 2
SHARED = (NO_CONNECTION, WAREHOUSE_GONE)  # of tasks, too
NOT_OF_A_DATE = (ALTERED, LOCKED_OUT, NO_CONNECTION, UNHELD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Look once.

    Returns:
        0: all that is due is there; 1: it is not.
    """
    parser = argparse.ArgumentParser(prog="python -m oncall.watchdog", description=__doc__)
    parser.add_argument("--alert", action="store_true", help="tell findings, and their end")
    parser.add_argument("--now", type=_moment, default=None, help="as if it were then, ISO 8601")
    given = parser.parse_args(arguments)
    settings = Settings()
    shop = shop_of(settings.home)
    settings = settings.model_copy(update={"source": shop}) if shop else settings
    routes.check(settings)
    now = given.now or datetime.now(UTC)
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
    if given.alert:
        _tell(settings, seen.findings, why)
    return FOUND if seen.findings else 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _why(settings: Settings, seen: Seen, now: datetime) -> str | None:
    if all(finding.entry in NOT_OF_A_DATE for finding in seen.findings):
        return None  # they say it themselves
    if seen.held:
        return f"the batch of {seen.due} is held: make accept, or make refuse"
    return likely_cause(settings, seen.due, now)


def _tell(settings: Settings, findings: list[Finding], why: str | None) -> None:
    causes = [
        _cause(finding, None if finding.entry in NOT_OF_A_DATE else why) for finding in findings
    ]
    by_severity = sorted(causes, key=lambda cause: cause.severity)
    for _, together in groupby(by_severity, key=lambda cause: cause.severity):
        tell(settings, list(together))
    if not any(finding.entry in SHARED for finding in findings):
        recovered(settings, [WATCHDOG], None, [cause.key for cause in causes])


def _cause(finding: Finding, why: str | None) -> Cause:
    is_view = finding.about.startswith("reporting.")
    # the same key as a task's: whoever notices first that the warehouse is gone tells it
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SettingsError, ValidationError) as error:
        why = explained(error) if isinstance(error, ValidationError) else error
        print(f"error: {why}", file=sys.stderr)
        sys.exit(WRONG)
    except OSError as error:
        refused = refusal(error)
        if refused is None:
            raise
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(WRONG)
    except psycopg.Error as error:  # a home that this version was never started in
        print(f"error: {cause_of(error)}; `make run` brings the home up to date", file=sys.stderr)
        sys.exit(WRONG)
