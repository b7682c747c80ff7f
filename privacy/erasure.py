"""Erase a customer from every table, from raw to every score ever published.

Orders stay as a guest's orders, so revenue and demand add up as before; rows that describe only the
customer are deleted. Raw is changed first, then staging to marts are rebuilt from raw, so that no
later build restores the customer; landing empties the key again if the shop sends it again. Each
step is idempotent: run an interrupted erasure again to complete it.
"""

from __future__ import annotations

import fcntl
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from perennial.dbt import dbt
from perennial.text import plain
from perennial.warehouse import connect
from privacy import rows
from privacy.models import models_of
from privacy.persons import BUILT, NOBODY, Person, PrivacyError, count_rows, person, tables_behind
from privacy.search import AIRFLOW, in_airflow, places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from perennial.settings import Settings

log = logging.getLogger(__name__)

WAITING, DRY_RUN = "waiting", "dry run"  # WAITING: dags/shared/approval.py requests approval


def preview(settings: Settings, given: str, reason: str, is_dry_run: bool) -> dict[str, Any]:
    """Count what an erasure would change, without changing anything.

    Args:
        settings: Settings of the home.
        given: The customer's key as the shop writes it, or the e-mail address if that is the key.
        reason: Reason of the erasure; it is kept, so it must not name the customer.
        is_dry_run: Whether to report only, without a request for approval.

    Returns:
        JSON-able and without personal data: `decision` (`waiting` for a person, or `dry run`),
        `counts` of rows by table, `models` trained on the customer, and the texts of the request
        for approval (`subject`, `reason`, `body`, `meanwhile`).

    Raises:
        PrivacyError: If no customer has that key, or an erasure has no valid reason.
    """
    who = person(settings, given)
    if not is_dry_run:
        _check_reason(reason, [given, who.customer_id])
    with connect(settings, "eraser") as connection:
        counts = _count(connection, settings, who)
        _require_somebody(connection, who, counts)
        models = models_of(connection, settings, who)
    table = "\n".join(f"| {name} | {count:,} |" for name, count in counts.items())
    learnt = "; ".join(f"{name}: {', '.join(versions)}" for name, versions in models.items())
    return {
        "decision": DRY_RUN if is_dry_run else WAITING,
        "counts": counts,
        "models": models,
        "subject": f"Erase customer {who.keyed_hash[:8]}… for good?",
        "reason": plain(reason),
        "meanwhile": "Nothing was changed yet; without an answer in time, nothing will be.",
        "body": f"{plain(reason)}\n\n| table | rows |\n|---|---|\n{table}\n\n"
        f"Models trained on these orders: {learnt or 'none'}.\n\n"
        "*Approve* erases; it can't be undone. *Reject*, or no answer in time, changes nothing.",
    }


def erase(settings: Settings, given: str, requested_by: str, reason: str) -> dict[str, Any]:
    """Erase a customer, then check that nothing is left.

    Args:
        settings: Settings of the home.
        given: The customer's key as the shop writes it, or the e-mail address if that is the key.
        requested_by: Person who requested or approved the erasure; kept as proof.
        reason: Reason; kept as proof, so it must not name the customer.

    Returns:
        JSON-able: `keyed_hash`, `counts` of rows by table, `models` trained on the customer.

    Raises:
        PrivacyError: If no customer has that key, or a build or a publication is running (nothing
            was changed in either case); or if the customer is still somewhere: the message lists
            the places.
    """
    who = person(settings, given)
    _check_reason(reason, [given, who.customer_id])
    with (
        _locked(settings) as lock,
        connect(settings, "eraser", autocommit=True) as connection,
    ):
        counts = _count(connection, settings, who)
        _require_somebody(connection, who, counts)
        _require_quiet(connection)
        models = models_of(connection, settings, who)
        with rows.no_landing(connection):
            gone = rows.erase_raw(connection, settings, who)
            _enter(connection, who, (requested_by, reason), counts, models)
        rows.erase_scores(connection, who)
        rows.erase_features(connection, who)
        for copy in settings.served_copy.parent.glob(f"{settings.served_copy.stem}.*"):
            copy.unlink(missing_ok=True)  # the server makes a new one
        day = _newest_day(connection)
        if day is not None:
            _rebuild(settings, day, lock)
        # Delete the key from Airflow's runs last: until then the run can be cleared and retried.
        _require_nothing_left(
            who, [place for place in places(settings, who, gone) if not place.startswith(AIRFLOW)]
        )
        rows.forget_parameters(settings, who)
        _require_nothing_left(who, in_airflow(settings, who, gone))
        connection.execute(
            "update ops.erasures set verified_at = now() where keyed_hash = %s", [who.keyed_hash]
        )
    log.info("erased %s: %d rows", who.keyed_hash, sum(counts.values()))
    return {"keyed_hash": who.keyed_hash, "counts": counts, "models": models}


def erase_if_approved(
    settings: Settings,
    params: Mapping[str, Any],
    outcome: Mapping[str, Any],
    answer: Mapping[str, Any],
) -> dict[str, Any]:
    """Erase the customer if a person approved the preview.

    Args:
        settings: Settings of the home.
        params: `customer_id` and `reason`.
        outcome: Result of `preview`.
        answer: `is_approved` and `who`; empty for a dry run, which needs no approval.

    Returns:
        `erased`, whether the customer was erased; if so, also the result of `erase`.
    """
    if not answer or not answer["is_approved"]:
        cause = f"rejected by {answer['who']}" if answer and answer["who"] else outcome["decision"]
        log.info("nothing was erased: %s", cause)
        return {"erased": False}
    if params["customer_id"] == rows.FORGOTTEN:
        log.info("nothing was erased: another run erased the customer while this one waited")
        return {"erased": False}
    erased = erase(settings, params["customer_id"], answer["who"], params["reason"])
    return {"erased": True, **erased}


def _require_nothing_left(who: Person, left: Sequence[str]) -> None:
    if left:
        raise PrivacyError(
            f"customer {who.keyed_hash} was erased and is still in {', '.join(left)}: "
            "delete the key there, then erase the customer again (docs/runbook.md, erase)"
        )


def _count(connection: psycopg.Connection[Any], settings: Settings, who: Person) -> dict[str, int]:
    return count_rows(connection, settings, who) | rows.count_rejected(connection, settings, who)


def _require_somebody(
    connection: psycopg.Connection[Any], who: Person, counts: Mapping[str, int]
) -> None:
    """Check that the customer has rows, or that an earlier erasure was interrupted."""
    row = connection.execute(
        "select verified_at, erased_at::date from ops.erasures where keyed_hash = %s",
        [who.keyed_hash],
    ).fetchone()
    if any(not name.startswith(rows.REJECTED) for name in counts):
        return
    if row is None:
        raise PrivacyError(f"{NOBODY}. Nothing was changed")
    if row[0] is not None:
        raise PrivacyError(f"this customer was erased on {row[1]} already. Nothing was changed")


@contextmanager
def _locked(settings: Settings) -> Iterator[int]:
    """Hold the home's lock of erasures; yield its descriptor, which the build inherits.

    The build of a killed erasure keeps the lock until it ends.
    """
    with (settings.home / "run" / "erasure.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrivacyError(
                "another erasure is under way, or the build of one that broke off: nothing was "
                "changed; try again when it has ended"
            ) from None
        yield file.fileno()


def _require_quiet(connection: psycopg.Connection[Any]) -> None:
    """Check that no build or scoring reads the rows that the erasure changes."""
    row = connection.execute(
        "select string_agg(distinct usename, ', ') from pg_stat_activity"
        " where datname = current_database() and usename in ('transformer', 'scorer')"
    ).fetchone()
    if row and row[0]:
        raise PrivacyError(
            f"a build or a scoring is under way ({row[0]} is connected): nothing was changed; "
            "try again when it has ended"
        )


def _check_reason(reason: str, keys: list[str]) -> None:
    if not reason.strip():
        raise PrivacyError("no reason is given: it is kept as proof, so give one (WHY=)")
    if "@" in reason or any(key.strip().lower() in reason.lower() for key in keys):
        raise PrivacyError("the reason names the customer: it is kept, so leave the name out")


def _enter(
    connection: psycopg.Connection[Any],
    who: Person,
    request: tuple[str, str],
    counts: Mapping[str, int],
    models: Mapping[str, list[str]],
) -> None:
    """Record the erasure in ops.erasures: as proof, and so that landing and publishing obey it."""
    connection.execute(
        "insert into ops.erasures (keyed_hash, requested_by, reason, counts, models)"
        " values (%s, %s, %s, %s, %s)"
        " on conflict (keyed_hash) do update set verified_at = null",
        [who.keyed_hash, request[0], plain(request[1]), Jsonb(counts), Jsonb(models)],
    )


def _newest_day(connection: psycopg.Connection[Any]) -> date | None:
    """Date to build for: the newest that was landed or published; None if nothing was built."""
    if not tables_behind(connection, BUILT):
        return None
    row = connection.execute(
        "select greatest((select max(as_of_date) from ops.publications),"
        " (select max(as_of_date) from ops.landed_files))"
    ).fetchone()
    return row[0] if row else None


def _rebuild(settings: Settings, day: date, lock: int) -> None:
    """Rebuild staging, intermediate and marts; readers see the old rows or the new ones."""
    with tempfile.TemporaryDirectory() as folder:  # Airflow reads the home's target folder
        dbt(
            *(settings, day, "run", "--full-refresh", "--target-path", folder),
            *("--select", *BUILT),
            inherits=[lock],
        )
