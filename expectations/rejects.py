"""Gate behind the build: checks what staging rejected, by orders and by money, before the days.

Rows that staging cannot use are in intermediate.int_rejected_rows, with the reason. The gate
compares this build's rejects with what was sent, and with the rejects of earlier builds
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
from expectations.reject_shares import WHOLE, Finding, Key, Level, Levels, Share, findings_of
from expectations.results import CRITICAL, WARNING, GateFailed, Result, record
from perennial.text import plain
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

log = logging.getLogger(__name__)

QUERIES = Path(__file__).with_suffix(".sql")
TABLE = "intermediate.int_rejected_rows"
LAST, MONTH = "last", "month"  # anchors: builds that a build is compared with
MONTH_DAYS = 28
FOUND = "; found: "  # the text after it is not part of an alert's cause
EXAMPLES, GROUPS_NAMED, REASONS_NAMED, LONGEST_NAME = 3, 3, 3, 40


def gate_rejects(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Reconcile the build, then check its rejects; hold the batches that brought too many.

    After the first build of another version, or a change of staging, the stored levels are not
    comparable and no batch is at fault: too many rejects then give a warning, and become the past
    that later builds are compared with.

    Returns:
        JSON-able: rule_count; warnings; judged, the tables checked; reconciliation, the lines of a
        table.

    Raises:
        GateFailed: If sent rows are neither in the marts nor rejected, or if too many are rejected;
            the message contains the reason, the figures and how to overrule it.
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
        anchored = _findings(now, before)
        findings = [finding for finding, _ in anchored]
        sentences = {
            f.reason: _sentence(f, since[anchor], _examples(connection, f.reason))
            for f, anchor in anchored
        }
        stops = [f.reason for f in findings if f.severity == CRITICAL]
        batch_ids = _at_fault(connection, stops) if stops and is_comparable else []
    is_held = bool(batch_ids)  # batches that a person accepted only give a warning
    _record(settings, findings, sentences, is_held=is_held, where=(as_of_date, run_id))
    if is_held:
        raise _held(settings, batch_ids, [sentences[reason] for reason in stops], run_id)
    with connect(settings, "transformer") as connection:
        is_new_past = bool(stops) or not is_comparable
        _store(connection, now, as_of_date, build, is_new_past=is_new_past)
    return {
        "rule_count": 1 + max(1, len(findings)),
        "warnings": list(sentences.values()),
        "judged": [TABLE] if is_changed else [],
        "reconciliation": as_table(flows),
    }


def _findings(now: Levels, before: dict[str, Levels]) -> list[tuple[Finding, str]]:
    """Findings since the last build and since some weeks ago, one per reason, with their anchor.

    The finding since the last build is used, unless only that of the weeks is critical.
    """
    by_reason = {f.reason: (f, LAST) for f in findings_of(now, before[LAST])}
    for finding in findings_of(now, before[MONTH]) if before[MONTH] else []:
        of_build, _ = by_reason.get(finding.reason, (None, LAST))
        if of_build is None or finding.severity < of_build.severity:  # critical before warning
            by_reason[finding.reason] = (finding, MONTH)
    return sorted(
        by_reason.values(), key=lambda one: (one[0].severity, -one[0].whole.of_money, one[0].reason)
    )


def _at_fault(connection: psycopg.Connection[Any], reasons: Sequence[str]) -> list[int]:
    """New batches with rows rejected for the reasons, without those that a person accepted.

    If no new batch has such rows, all new batches are at fault: rows of old batches may be rejected
    because a new dump lacks their customers.
    """
    parameters = {"reasons": list(reasons), **_faults()}
    new = connection.execute(_query("batches"), parameters).fetchall()
    at_fault = [batch for batch in new if batch[-1]] or new
    return [batch_id for batch_id, is_by_gate, _ in at_fault if is_by_gate]


def _held(
    settings: Settings, batch_ids: Sequence[int], sentences: Sequence[str], run_id: str
) -> GateFailed:
    from ingest.batches import take_back

    for batch_id in batch_ids:
        take_back(settings, batch_id, f"the gate of rejects stopped it in run {run_id}")
    named = ", ".join(map(str, batch_ids))
    count_more = len(sentences) - REASONS_NAMED
    more = [f"{count_more} more reasons"] if count_more > 0 else []
    accept, refuse = (
        ", ".join(f"`make {verb} BATCH={batch_id}`" for batch_id in batch_ids)
        for verb in ("accept", "refuse")
    )
    return GateFailed(
        f"batch {named} is held: {' | '.join([*sentences[:REASONS_NAMED], *more])}. "
        f"If it is right, {accept}, else {refuse}; then `make run` for the date again"
    )


def _examples(connection: psycopg.Connection[Any], reason: str) -> str:
    """Up to three orders with masked ids, and the file and line of their rows."""
    if reason == REDUCED:
        orders = _reduced(connection)[:EXAMPLES]
        return ", ".join(f"{masked(o.order_id)} ({o.amount:,.2f} less)" for o in orders)
    parameters = {"reason": reason, "count": EXAMPLES, **_faults()}
    rows = connection.execute(_query("examples"), parameters).fetchall()
    return ", ".join(
        f"{masked(order or product or '')} ({plain(file)[-LONGEST_NAME:]} line {line})"
        for order, product, file, line in rows
    )


def _sentence(finding: Finding, since: date | None, examples: str) -> str:
    """The finding as a sentence: the reason, and after FOUND what differs from day to day.

    Args:
        finding: The finding.
        since: Date of the build compared with, unless it was the last build.
        examples: Rejected orders with masked ids.
    """
    whole, groups = finding.whole, finding.groups
    what = "orders" if (whole.dimension, whole.group) == WHOLE else f"rows of {whole.group}"
    details = _shares(whole, what)
    if since:
        details += f" since {since}"
    if groups:
        more = f" and {len(groups) - GROUPS_NAMED} more" if len(groups) > GROUPS_NAMED else ""
        details += f", most in {'; '.join(map(_group, groups[:GROUPS_NAMED]))}{more}"
    details += f". Remedy: {kind_of(finding.reason).remedy}; e.g. {examples}"
    details = details.replace(" | ", " / ")  # " | " separates reasons
    return f"{TABLE}: {finding.reason!r} rejects too much{FOUND}{details}"


def _shares(share: Share, what: str) -> str:
    text = f"{share.lost.orders:,.0f} of {share.sent.orders:,.0f} {what} ({share.of_orders:.1%})"
    if share.sent.amount:
        text += f", {share.lost.amount:,.2f} of {share.sent.amount:,.2f} ({share.of_money:.1%})"
    return text


def _group(share: Share) -> str:
    name = plain(share.group)[:LONGEST_NAME]
    return f"{share.dimension} {name} ({share.rate:.0%} of {share.sent.orders:,.0f})"


def masked(key: str) -> str:
    """An id with its middle hidden: enough to find it in a list, too little to identify it."""
    key = plain(key)
    shown = min(3, len(key) // 3)
    return f"{key[:shown]}...{key[len(key) - shown :]}" if key else "row"


def _record(
    settings: Settings,
    findings: Sequence[Finding],
    sentences: dict[str, str],
    *,
    is_held: bool,
    where: tuple[date, str],
) -> None:
    """Record the findings in ops.gate_results: a row per reason, or one row if there are none."""
    results = [
        Result(
            table_name=TABLE,
            expectation=f"rejected rows are few: {finding.reason}",
            column_name=None,
            severity=CRITICAL if is_held and finding.severity == CRITICAL else WARNING,
            success=False,
            observed=sentences[finding.reason].partition(FOUND)[-1],
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
    """Levels of sent and rejected orders over all accepted files, after this build."""
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
    """Orders sent again with less money, most lost money first."""
    return [Reduced(*row) for row in connection.execute(_query("reduced"))]


def _faults() -> dict[str, str]:
    """Parameters of the queries that count all faults together."""
    return {"several": SEVERAL_FAULTS, "no_fault": no_fault_pattern()}


def _build(connection: psycopg.Connection[Any], as_of_date: date) -> str:
    """Identity of this build: the same if the gate died and runs again."""
    row = connection.execute(_query("build"), {"as_of_date": str(as_of_date)}).fetchone()
    assert row is not None
    return row[0]


def _is_of(connection: psycopg.Connection[Any], anchor: str, build: str) -> bool:
    """True if the anchor has this build's own levels: the gate ran for it before."""
    parameters = {"anchor": anchor, "build": build}
    return connection.execute(_query("is of build"), parameters).fetchone() == (True,)


def _before(connection: psycopg.Connection[Any], anchor: str, build: str) -> str:
    """The anchor to compare with; if it has this build's own levels, the ones they replaced."""
    return f"before {anchor}" if _is_of(connection, anchor, build) else anchor


def _levels(connection: psycopg.Connection[Any], anchor: str) -> Levels:
    rows = connection.execute(_query("levels"), {"anchor": anchor})
    return {Key(*row[:3]): Level(*row[3:]) for row in rows}


def _store(
    connection: psycopg.Connection[Any],
    now: Levels,
    as_of_date: date,
    build: str,
    *,
    is_new_past: bool,
) -> None:
    """Store the levels that later builds are compared with: the last, and one up to 4 weeks old.

    Rejects that a person accepted, and all levels computed by other rules, replace both, so that
    they do not stop later builds.
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
    """Date of the build with its levels at the anchor; None if there is none."""
    row = connection.execute(_query("anchored"), {"anchor": anchor}).fetchone()
    return row[0] if row else None


def _query(name: str) -> str:
    """The statement of rejects.sql with this name in the comment above it."""
    parts = QUERIES.read_text().split("-- name: ")[1:]
    named = {part.split("\n", 1)[0].strip(): part.split("\n", 1)[1] for part in parts}
    return named[name]
