"""Commands that make scores, and those that show whether they are there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from command.app import Panel, command
from command.options import (
    Currency,
    Files,
    Schedule,
    Source,
    TimeZone,
    option,
    settings_of,
    yes_or_no,
)

NOTHING_SEEN = 2  # the watchdog's exit code where it could not look


@command(Panel.SCORES, "run")
def run(
    source: Source = "",
    files: Files = "",
    schedule: Schedule = "",
    time_zone: TimeZone = "",
    currency: Currency = "",
    as_of: Annotated[
        str,
        option("as-of", "Dates to score, comma-separated; empty: the day after the newest order."),
    ] = "",
    again: Annotated[
        str, option("again", "Also where the work is done already.", metavar="yes")
    ] = "",
) -> int:
    """Start everything, land the shop's files, build, score and report."""
    from local import run as runner

    settings = settings_of(
        takes_any_shop=True,
        source=source,
        files=files,
        schedule=schedule,
        time_zone=time_zone,
        currency=currency,
    )
    dates = runner.parse_dates(as_of)
    return runner.run(settings, dates, is_forced=yes_or_no("AGAIN", again))


@command(Panel.SCORES, "backfill")
def backfill(
    source: Source = "",
    files: Files = "",
    schedule: Schedule = "",
    time_zone: TimeZone = "",
    currency: Currency = "",
    first: Annotated[str, option("from", "First date.")] = "",
    last: Annotated[str, option("to", "Last date.")] = "",
    every: Annotated[str, typer.Option("--every", help="A number of days, or month.")] = "month",
) -> int:
    """Score a range of dates."""
    from local import run as runner
    from perennial.days import read_day

    settings = settings_of(
        takes_any_shop=True,
        source=source,
        files=files,
        schedule=schedule,
        time_zone=time_zone,
        currency=currency,
    )
    dates = runner.date_range(read_day(first, "FROM"), read_day(last, "TO"), every)
    return runner.run(settings, dates, is_forced=True)


@command(Panel.SCORES, "ui")
def ui(
    source: Source = "",
    files: Files = "",
    schedule: Schedule = "",
    time_zone: TimeZone = "",
    currency: Currency = "",
) -> None:
    """Start Postgres, Airflow and MLflow; score nothing."""
    from local import mlflow, shown
    from local import run as runner

    settings = settings_of(
        source=source, files=files, schedule=schedule, time_zone=time_zone, currency=currency
    )
    runner.start(settings)
    mlflow.start(settings)
    shown.print_doors(settings)


@command(Panel.SCORES, "start")
def start(
    source: Source = "",
    files: Files = "",
    schedule: Schedule = "",
    time_zone: TimeZone = "",
    currency: Currency = "",
) -> None:
    """Start Postgres and Airflow; score nothing."""
    from local import run as runner

    runner.start(
        settings_of(
            source=source, files=files, schedule=schedule, time_zone=time_zone, currency=currency
        )
    )


@command(Panel.SCORES, "status")
def status() -> int:
    """Print what runs, whose shop it is, and the newest scores; exit code 1 if it does not run."""
    from local import mlflow, postgres, shown
    from local import run as runner
    from perennial import shop

    settings = settings_of()
    states = runner.services(settings)
    for name, alive in states.items():
        print(f"{name:<14} {'running' if alive else 'stopped'}")
    states["reader-limit"] = postgres.is_limited(settings)
    print(f"{'reader-limit':<14} {'running' if states['reader-limit'] else 'stopped (make run)'}")
    # not needed for scores, so it does not count
    print(f"{'mlflow':<14} {'running' if mlflow.is_running(settings) else 'stopped (make ui)'}")
    print(shop.described(settings, shop.defaults(settings)))
    if states["postgres"]:
        shown.print_publications(settings)
    return 0 if all(states.values()) else 1


@command(Panel.SCORES, "watch", error_code=NOTHING_SEEN)
def watch(
    alert: Annotated[
        bool, typer.Option("--alert", help="Send what was found to those on call.")
    ] = False,
    now: Annotated[str, option("now", "Look as if it were then; ISO 8601, UTC.")] = "",
) -> int:
    """Check that what is due is there: a line a finding, and exit code 1. Made for cron."""
    from oncall.watchdog.watch import watch as look_once

    return look_once(settings_of(), _moment(now), is_alert=alert)


def _moment(text: str) -> datetime:
    from perennial.settings import SettingsError

    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError as error:
        raise SettingsError(f"--now={text!r}: {error}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
