"""Gate behind the build: what staging rejected, by orders and by money, before days are judged.

Rows that staging can't use are in intermediate.int_rejected_rows, with the reason. The gate
compares what this build rejected with what it sent, and with what builds before it had rejected
(ops.reject_levels): for the whole shop, and for each country, product and month.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.reconciliation import as_table, reconcile
from expectations.reduced_orders import Reduced, add_reduced
from expectations.reject_reasons import (
    REDUCED,
    SEVERAL_FAULTS,
    kind_of,
    no_fault_pattern,
    sent_again_pattern,
)
from expectations.reject_shares import WHOLE, Finding, Key, Level, Levels, Share, judge
from expectations.results import CRITICAL, WARNING, GateFailed, Result, record
from perennial.text import plain
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

log = logging.getLogger(__name__)

QUERIES = Path(__file__).with_suffix(".sql")
TABLE = "intermediate.int_rejected_rows"
LAST, MONTH = "last", "month"  # builds that a build is compared with
MONTH_DAYS = 28
FOUND = "; found: "  # behind it stands what is no part of an alert's cause
EXAMPLES, GROUPS_NAMED, REASONS_NAMED, LONGEST_NAME = 3, 3, 3, 40


def gate_rejects(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Reconcile the build, then judge what it rejected; hold the batches that brought too much.

    Where the shop's past is not known as these rules make it (the first build of another version,
    or after a change of staging), nobody's batch is at fault: then too much is told, and kept as
    the past that later builds are compared with.

    Returns:
        JSON-able: rule_count, warnings, the tables judged, reconciliation (lines of a table).

    Raises:
        GateFailed: If something sent is neither in the marts nor rejected, or if too much is
            rejected; the message says what, how much, and how to overrule it.
    """
    flows = reconcile(settings, as_of_date, run_id)
    for line in as_table(flows):
        log.info("%s", line)
    with connect(settings, "transformer") as connection:
        build = _build(connection, as_of_date)
        now = _levels_now(connection)
        last, month = (_before(connection, anchor, build) for anchor in (LAST, MONTH))
        before = {LAST: _levels(connection, last), MONTH: _levels(connection, month)}
        since = {LAST: None, MONTH: _anchored(connection, month)}
        is_changed = connection.execute(_query("changed")).fetchone() == (True,)
        is_comparable = connection.execute(_query("comparable")).fetchone() == (True,)
        judged = _judge(now, before)
        findings = [finding for finding, _ in judged]
        told = {
            f.reason: _told(f, since[anchor], _examples(connection, f.reason))
            for f, anchor in judged
        }
        stops = [f.reason for f in findings if f.severity == CRITICAL]
        batch_ids = _at_fault(connection, stops) if stops and is_comparable else []
    is_held = bool(batch_ids)  # what a person let in is told only
    _record(settings, findings, told, is_held=is_held, where=(as_of_date, run_id))
    if is_held:
        raise _held(settings, batch_ids, [told[reason] for reason in stops], run_id)
    with connect(settings, "transformer") as connection:
        is_new_past = bool(stops) or not is_comparable
        _remember(connection, now, as_of_date, build, is_new_past=is_new_past)
    return {
        "rule_count": 1 + max(1, len(findings)),
        "warnings": list(told.values()),
        "judged": [TABLE] if is_changed else [],
        "reconciliation": as_table(flows),
    }


def _judge(now: Levels, before: dict[str, Levels]) -> list[tuple[Finding, str]]:
    """Findings of this build, and those of weeks that no single build shows, with their anchor.

    One a reason: that of the weeks if it alone is critical.
    """
    found = {f.reason: (f, LAST) for f in judge(now, before[LAST])}
    for finding in judge(now, before[MONTH]) if before[MONTH] else []:
        of_build, _ = found.get(finding.reason, (None, LAST))
        if of_build is None or finding.severity < of_build.severity:  # critical before warning
            found[finding.reason] = (finding, MONTH)
    return sorted(
        found.values(), key=lambda one: (one[0].severity, -one[0].whole.of_money, one[0].reason)
    )


def _at_fault(connection: psycopg.Connection[Any], reasons: Sequence[str]) -> list[int]:
    """New batches that have rows of the reasons, all new ones if none has; not a person's.

    None has where old rows fell: orders of customers who are missing from a new dump.
    """
    asked = {"reasons": list(reasons), **_faults()}
    new = connection.execute(_query("batches"), asked).fetchall()
    at_fault = [batch for batch in new if batch[-1]] or new
    return [batch_id for batch_id, is_by_gate, _ in at_fault if is_by_gate]


def _held(
    settings: Settings, batch_ids: Sequence[int], told: Sequence[str], run_id: str
) -> GateFailed:
    from ingest.batches import take_back

    for batch_id in batch_ids:
        take_back(settings, batch_id, f"the gate of rejects stopped it in run {run_id}")
    named = ", ".join(map(str, batch_ids))
    more = [f"{len(told) - REASONS_NAMED} more reasons"] if len(told) > REASONS_NAMED else []
    accept, refuse = (
        ", ".join(f"`make {verb} BATCH={batch_id}`" for batch_id in batch_ids)
        for verb in ("accept", "refuse")
    )
    return GateFailed(
        f"batch {named} is held: {' | '.join([*told[:REASONS_NAMED], *more])}. "
        f"If it is right, {accept}, else {refuse}; then `make run` for the date again"
    )


def _examples(connection: psycopg.Connection[Any], reason: str) -> str:
    """Three orders, masked, and where their rows stand."""
    if reason == REDUCED:
        orders = _reduced(connection)[:EXAMPLES]
        return ", ".join(f"{masked(o.order_id)} ({o.amount:,.2f} less)" for o in orders)
    asked = {"reason": reason, "count": EXAMPLES, **_faults()}
    rows = connection.execute(_query("examples"), asked).fetchall()
    return ", ".join(
        f"{masked(order or product or '')} ({plain(file)[-LONGEST_NAME:]} line {line})"
        for order, product, file, line in rows
    )


def _told(finding: Finding, since: date | None, examples: str) -> str:
    """The finding in a sentence: reason, and behind `; found: ` what differs from day to day.

    Args:
        finding: What is told.
        since: Date of the build that it is compared with, unless that was the last.
        examples: Orders of it, masked.
    """
    whole, groups = finding.whole, finding.groups
    what = "orders" if (whole.dimension, whole.group) == WHOLE else f"rows of {whole.group}"
    found = _shares(whole, what)
    if since:
        found += f" since {since}"
    if groups:
        more = f" and {len(groups) - GROUPS_NAMED} more" if len(groups) > GROUPS_NAMED else ""
        found += f", most in {'; '.join(map(_group, groups[:GROUPS_NAMED]))}{more}"
    found += f". Remedy: {kind_of(finding.reason).remedy}; e.g. {examples}"
    found = found.replace(" | ", " / ")  # which parts reasons
    return f"{TABLE}: {finding.reason!r} rejects too much{FOUND}{found}"


def _shares(share: Share, what: str) -> str:
    text = f"{share.lost.orders:,.0f} of {share.sent.orders:,.0f} {what} ({share.of_orders:.1%})"
    if share.sent.amount:
        text += f", {share.lost.amount:,.2f} of {share.sent.amount:,.2f} ({share.of_money:.1%})"
    return text


def _group(share: Share) -> str:
    name = plain(share.group)[:LONGEST_NAME]
    return f"{share.dimension} {name} ({share.rate:.0%} of {share.sent.orders:,.0f})"


def masked(key: str) -> str:
    """An id whose middle is hidden: enough to find it in a list, too little to tell it abroad."""
    key = plain(key)
    shown = min(3, len(key) // 3)
    return f"{key[:shown]}...{key[len(key) - shown :]}" if key else "row"


def _record(
    settings: Settings,
    findings: Sequence[Finding],
    told: dict[str, str],
    *,
    is_held: bool,
    where: tuple[date, str],
) -> None:
    """Keep what was found in ops.gate_results: a row a reason, or one that says all is well."""
    results = [
        Result(
            table_name=TABLE,
            expectation=f"rejected rows are few: {finding.reason}",
            column_name=None,
            severity=CRITICAL if is_held and finding.severity == CRITICAL else WARNING,
            success=False,
            observed=told[finding.reason].partition(FOUND)[-1],
            element_count=int(finding.whole.sent.orders),
            unexpected_count=int(finding.whole.lost.orders),
            is_error=False,
        )
        for finding in findings
    ] or [Result(TABLE, "rejected rows are few", None, CRITICAL, True, "few", None, 0, False)]
    run = {"run_id": where[1], "gate": "rejects", "as_of_date": where[0], "publication_id": None}
    with connect(settings, "scorer") as connection:  # the role that may write results
        record(connection, results, run)
    for result in results:
        if not result.success:
            log.log(logging.ERROR if result.stops else logging.WARNING, "gate rejects %s", result)
    log.info("gate rejects: %s", "held" if is_held else f"passed, {len(findings)} warnings")


def _levels_now(connection: psycopg.Connection[Any]) -> Levels:
    """What was sent and rejected of all accepted files, as this build left it."""
    levels: dict[Key, Level] = {}
    for dimension, group, orders, amount in connection.execute(_query("sent")):
        levels[Key(dimension, group, "")] = Level(float(orders), float(amount))
    parameters = {"sent_again": sent_again_pattern(), **_faults()}
    for dimension, group, reason, orders, amount in connection.execute(
        _query("rejected"), parameters
    ):
        key = Key(dimension, group, reason)
        counted = levels.get(key, Level())
        levels[key] = Level(counted.orders + float(orders), counted.amount + float(amount))
    add_reduced(levels, _reduced(connection))
    return levels


def _reduced(connection: psycopg.Connection[Any]) -> list[Reduced]:
    """Orders that came again with less, most money first."""
    return [Reduced(*row) for row in connection.execute(_query("reduced"))]


def _faults() -> dict[str, str]:
    """Parameters of queries that ask for all faults together."""
    return {"several": SEVERAL_FAULTS, "no_fault": no_fault_pattern()}


def _build(connection: psycopg.Connection[Any], as_of_date: date) -> str:
    """Which build this is: the same where a gate that died is asked again."""
    row = connection.execute(_query("build"), {"as_of_date": str(as_of_date)}).fetchone()
    assert row is not None
    return row[0]


def _is_of(connection: psycopg.Connection[Any], anchor: str, build: str) -> bool:
    """Whether this build's own levels stand at the anchor: it was judged before."""
    asked = {"anchor": anchor, "build": build}
    return connection.execute(_query("is of build"), asked).fetchone() == (True,)


def _before(connection: psycopg.Connection[Any], anchor: str, build: str) -> str:
    """The anchor that a build is compared with; judged again, what its own levels replaced."""
    return f"before {anchor}" if _is_of(connection, anchor, build) else anchor


def _levels(connection: psycopg.Connection[Any], anchor: str) -> Levels:
    rows = connection.execute(_query("levels"), {"anchor": anchor})
    return {Key(*row[:3]): Level(*row[3:]) for row in rows}


def _remember(
    connection: psycopg.Connection[Any],
    now: Levels,
    as_of_date: date,
    build: str,
    *,
    is_new_past: bool,
) -> None:
    """What later builds are compared with: the last, and one of up to four weeks before.

    What a person let pass is part of both, so that it does not stop the builds after it; so is all
    that other rules made.
    """
    connection.execute(_query("passed"))
    if _is_of(connection, LAST, build):
        return
    since = _anchored(connection, MONTH)
    is_due = since is None or as_of_date >= since + timedelta(days=MONTH_DAYS) or is_new_past
    (rules,) = connection.execute(_query("rules")).fetchone() or (None,)
    for anchor in (LAST, MONTH) if is_due else (LAST,):
        delete = "delete from ops.reject_levels where anchor = %s"
        connection.execute(delete, [f"before {anchor}"])
        connection.execute(_query("keep before"), {"anchor": anchor})
        connection.execute(delete, [anchor])
        with connection.cursor().copy(
            "copy ops.reject_levels (anchor, dimension, group_name, reason, count_orders, amount,"
            " as_of_date, rules, build) from stdin"
        ) as copy:
            for key, level in now.items():
                row = (anchor, *key, round(level.orders), level.amount, as_of_date, rules, build)
                copy.write_row(row)


def _anchored(connection: psycopg.Connection[Any], anchor: str) -> date | None:
    """Date of the build whose levels stand at the anchor."""
    row = connection.execute(_query("anchored"), {"anchor": anchor}).fetchone()
    return row[0] if row else None


def _query(name: str) -> str:
    """A statement of rejects.sql, by the name in the comment above it."""
    parts = QUERIES.read_text().split("-- name: ")[1:]
    named = {part.split("\n", 1)[0].strip(): part.split("\n", 1)[1] for part in parts}
    return named[name]
