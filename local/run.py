"""The main job on one machine: start everything, land, build, score, report, and show it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from dateutil.relativedelta import relativedelta
from rich.markup import escape

from ingest.files import TABLE_PREFIX, find
from ingest.newest import PLACEHOLDER, newest_orders
from local import airflow, postgres
from local.home import one_at_a_time, prepare
from local.patience import Patience
from local.shown import (
    console,
    print_delivery,
    print_doors,
    print_failure,
    print_flows,
    print_learnt,
)
from local.watch import Watch
from oncall.airflow_api import AirflowError, Api, ThereAlreadyError, chain_of_dags
from oncall.alerts import routes
from oncall.delivery import check_delivery, is_published
from perennial import dbt, shop, sources
from perennial.days import read_day
from perennial.settings import SAMPLE_SHOP, Settings, SettingsError, shop_of

DAGS_TIMEOUT_SECONDS = 900  # a busy machine needs some of it; what can't be read is told at once
POOL_TEXT = "Tasks that work hard: no more at once than there are cores."


def run(settings: Settings, dates: list[date], *, is_forced: bool = False) -> int:
    """Bring the shop's files to score tables for the dates; newest order's next day if none.

    Args:
        settings: The shop and the home.
        dates: Days to score; each is a run of its own through all DAGs.
        is_forced: Run dates again that are published and have nothing new to land.

    Returns:
        0 if the last table of every date is there, 1 if a step failed.
    """
    sources.load(settings.staging_source)
    settings = with_files(settings)
    check_files(settings, dates)
    with one_at_a_time(settings, "run", console.print):
        return _run(settings, dates, is_forced)


def _run(settings: Settings, dates: list[date], is_forced: bool) -> int:
    by_default = shop.defaults(settings)
    _make_home(settings)
    if not dates:
        with console.status("starting Postgres, which knows what an order's time is"):
            postgres.start(settings)
        dates = [day_after_newest_order(settings)]
    start(settings, by_default)
    code = score(settings, dates, lambda: services(settings), is_forced=is_forced)
    if code == 0:
        print_doors(settings)
        print_learnt(settings)
    return code


def score(
    settings: Settings,
    dates: list[date],
    services: Callable[[], dict[str, bool]],
    *,
    is_forced: bool = False,
) -> int:
    """Have an Airflow that runs score the dates, follow it, and show what readers find.

    Args:
        settings: The shop; its files are known.
        dates: Days to score; each is a run of its own through all DAGs.
        services: Says which of the processes that the runs need are alive.
        is_forced: Run dates again that are published and have nothing new to land.

    Returns:
        0 if the last table of every date is there, 1 if a step failed.
    """
    due = [day for day in dates if is_forced or not _is_done(settings, day)]
    if due:
        patience = Patience(services, console)
        api = patience.until_answered(lambda: Api(settings))
        _wait_for_dags(api, patience)
        watch = Watch(api, console, datetime.now(UTC), services)
        for day in due:
            _start_landing(api, patience, day, settings.files)
        failure = watch.follow(due)
        if failure:
            print_failure(settings, failure)
            return 1
    else:
        console.print("Nothing new to land and every date is published: the work is done already.")
    for day in dates:
        check_delivery(settings, day)
        print_flows(settings, day)
        print_delivery(settings, day)
    return 0


def _start_landing(api: Api, patience: Patience, day: date, files: str) -> None:
    body = {
        "dag_run_id": f"manual__{datetime.now(UTC).isoformat()}",
        "logical_date": None,
        "partition_key": str(day),
        "conf": {"files": files},
    }

    def start() -> None:
        # it may have been started by an earlier request, whose answer was lost
        with suppress(ThereAlreadyError):
            api.post("/dags/land/dagRuns", body)

    patience.until_answered(start)


def services(settings: Settings) -> dict[str, bool]:
    """Which of the processes that a run needs are alive."""
    return {"postgres": postgres.is_running(settings)} | airflow.status(settings)


def with_files(settings: Settings) -> Settings:
    """The settings with FILES made certain: the sample shop's are made if they are not there.

    Raises:
        SettingsError: If a shop's files are not named.
    """
    if settings.files:
        is_path = "://" not in settings.files and not settings.files.startswith(TABLE_PREFIX)
        files = str(Path(settings.files).absolute()) if is_path else settings.files
        return settings.model_copy(update={"files": files})
    if settings.source != SAMPLE_SHOP:
        raise SettingsError(
            f"SOURCE={settings.source} needs FILES=<path, folder, glob or URL>, "
            "or FILES=table:<schema> for tables that are in the warehouse already"
        )
    return settings.model_copy(update={"files": str(settings.home / "sample_shop")})


def start(settings: Settings, by_default: Sequence[str] | None = None) -> None:
    """Start what does not run: the sample shop's files, Postgres, Airflow.

    Args:
        settings: The shop and the home.
        by_default: Of the shop's own settings those that nobody stated; None: found out here.

    Raises:
        SettingsError: If alerts could not be sent to whom the settings name.
    """
    routes.check(settings)
    started = datetime.now(UTC)
    if by_default is None:
        by_default = shop.defaults(settings)  # an unknown shop must not claim the home
    _make_home(settings)
    with one_at_a_time(settings, "start", console.print):
        with console.status("starting Postgres"):
            postgres.start(settings)
        console.print(shop.described(settings, by_default), highlight=False, soft_wrap=True)
        with console.status("starting Airflow (the first time takes about a minute)"):
            from ml_tasks.models import registry

            registry.initialise(settings)
            dbt.parse(settings)
            airflow.start(settings)
        patience = Patience(lambda: services(settings), console)
        patience.until_answered(lambda: make_pool(Api(settings), settings.cores))
    console.print(
        f"Postgres and Airflow run ({(datetime.now(UTC) - started).total_seconds():.0f} s); "
        f"home: {settings.home}",
        highlight=False,
    )


def change_shop(settings: Settings, time_zone: str, currency: str) -> None:
    """Change the shop's time zone or currency on purpose; empty: as it is. Airflow is stopped.

    Raises:
        SettingsError: If the home was never started, one of them is none, or a step is at work.
    """
    if shop_of(settings.home) is None:
        raise SettingsError(
            f"{settings.home} was never started: state them at the first start, "
            "make run TIME_ZONE=Europe/London CURRENCY=GBP"
        )
    before = shop.own(settings)
    wanted = shop.Own(time_zone or before.time_zone, currency or before.currency)
    Settings(**asdict(wanted))  # is there such a zone?
    with one_at_a_time(settings, "start", console.print):
        airflow.stop(settings)  # its processes still have the old ones
        postgres.start(settings)
        is_built_anew = shop.change(settings, wanted)
    console.print(shop.described(settings), highlight=False, soft_wrap=True)
    if is_built_anew:
        console.print(
            "The next `make run` builds all orders anew in that time zone; dates that are "
            "published keep their scores until they are scored again (ops.late_dates lists them)."
        )


def parse_dates(text: str) -> list[date]:
    """`2011-06-10,2011-09-10` as dates.

    Raises:
        SettingsError: If one is no date.
    """
    return [read_day(part, "AS_OF") for part in text.split(",")] if text.strip() else []


def date_range(first: date, last: date, every: str) -> list[date]:
    """Dates from first to last, every so many days or, with `month`, on the same day of the month.

    Raises:
        SettingsError: If the range is empty or the step is neither.
    """
    if first > last:
        raise SettingsError(f"FROM={first} is after TO={last}")
    if every == "month":
        months = range((last.year - first.year) * 12 + last.month - first.month + 1)
        days = [first + relativedelta(months=count) for count in months]
        return [day for day in days if day <= last]
    if not re.fullmatch("[0-9]{1,4}", every) or int(every) < 1:
        raise SettingsError(f"EVERY={every!r}: a number of days, at least 1, or month")
    return [first + timedelta(days=days) for days in range(0, (last - first).days + 1, int(every))]


def check_files(settings: Settings, dates: list[date]) -> None:
    """Find what can be known to be wrong before anything is started or made.

    Raises:
        SettingsError: If the source is unknown, or a date lies in the future.
        LandingError: If there are no such files.
    """
    sources.load(settings.staging_source)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if dates and max(dates) > tomorrow:
        raise SettingsError(f"AS_OF={max(dates)} is in the future: its orders can't be known yet")
    if settings.source == SAMPLE_SHOP:
        return
    if not dates and PLACEHOLDER in settings.files:
        raise SettingsError(f"FILES has {PLACEHOLDER} in it: say which date, AS_OF=2011-09-10")
    if not settings.files.startswith(TABLE_PREFIX):
        for day in dates or [tomorrow]:
            find(settings.files, day)


def day_after_newest_order(settings: Settings) -> date:
    """The first date that has seen all of the shop's files, and at most tomorrow."""
    newest, passed_over = newest_orders(settings)
    if passed_over:
        console.print(f"[yellow]Warning:[/yellow] {escape(passed_over)}.", soft_wrap=True)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return min(newest + timedelta(days=1), tomorrow)


def _make_home(settings: Settings) -> None:
    """Folders, passwords, and the sample shop's files."""
    with one_at_a_time(settings, "prepare"):
        if prepare(settings):
            airflow.stop(settings)  # its processes hold the passwords of before
        _make_sample_shop(settings)


def _make_sample_shop(settings: Settings) -> None:
    from ingest.sample_shop import make_files

    folder = settings.home / "sample_shop"
    if settings.source == SAMPLE_SHOP and not folder.exists():
        with console.status("making the sample shop"):
            make_files(settings, folder)


def make_pool(api: Api, slots: int) -> None:
    """Make the pool of tasks that work hard, or give it another size."""
    from dags.shared.pools import HEAVY_POOL

    pools = {pool["name"]: pool["slots"] for pool in api.get("/pools")["pools"]}
    if HEAVY_POOL not in pools:
        api.post("/pools", {"name": HEAVY_POOL, "slots": slots, "description": POOL_TEXT})
    elif pools[HEAVY_POOL] != slots:
        api.request("PATCH", f"/pools/{HEAVY_POOL}", json={"slots": slots})


def _wait_for_dags(api: Api, patience: Patience) -> None:
    """Wait until the DAG processor has read every DAG.

    Raises:
        AirflowError: If a DAG file can't be imported, or it takes too long.
    """
    deadline = time.monotonic() + DAGS_TIMEOUT_SECONDS
    missing = set(chain_of_dags())
    while missing and time.monotonic() < deadline:
        errors = patience.until_answered(lambda: api.get("/importErrors")["import_errors"])
        if errors:
            first = errors[0]
            raise AirflowError(f"{first['filename']} can't be imported:\n{first['stack_trace']}")
        dags = patience.until_answered(lambda: api.get("/dags")["dags"])
        missing -= {dag["dag_id"] for dag in dags if not dag["is_stale"]}
        time.sleep(1)
    if missing:
        raise AirflowError(
            f"Airflow does not know {', '.join(sorted(missing))} after {DAGS_TIMEOUT_SECONDS} s: "
            "look at `make logs`, dag-processor"
        )


def _is_done(settings: Settings, day: date) -> bool:
    from ingest.land import has_news

    return is_published(settings, day) and not has_news(settings, day, settings.files)
