"""Gate behind the build: checks the shop's new days before any feature is published.

A day is checked once its orders are in the marts, where every source has the same form and days are
in the shop's time zone. It is compared with the days checked before (ops.judged_days). Whether
files are whole dumps, growing files or single days, only days with new orders are checked. (Absurd
orders are reported as long as they are in the marts: `expectations/absurd_orders.py`.) No score is
computed from a stopped day: its batch is held, and the next build removes its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations.absurd_orders import RULE as ABSURD
from expectations.absurd_orders import absurd_orders
from expectations.gate import run_gate
from expectations.results import CRITICAL, WARNING, GateFailed
from expectations.rules import Check, Rule, no_rows
from expectations.shop_days import Finding, ShopDay, findings_of, lost, reconcile
from perennial import sources
from perennial.casts import casts
from perennial.shop import own
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

TABLE = "marts.fct_orders"
NEW_DAYS = 35  # of more new days at once, the older ones are the shop's past: stored, not checked
PRICE_DAYS = 56  # days before the first new day that give a product's usual price
QUIET_DAYS = 7  # days without an order after the newest one are checked; gate_features warns later
FINDING_COLUMNS = ("day", "rule", "severity")
RULES = ("orders", "sales", "prices", "repeats", "guests", "lost", "totals", ABSURD)
TOTALS = "totals"
QUERIES = Path(__file__).parent / "days.sql"


def gate_days(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Check the new days before a date; hold the batches of a day that is stopped.

    Returns:
        JSON-able: judged_days, their number; rule_count; warnings; judged, the table checked if
        any day was new.

    Raises:
        GateFailed: If a day is stopped; the message contains what is usual and how to overrule it.
    """
    with connect(settings, "transformer") as connection:
        known = _known_days(connection)
        days = _days(connection, as_of_date, known)
        new = _with_facts(connection, _new(days, known, as_of_date) if known else [])
        new, findings = _check_in_turn(new, [*known, *days])
        findings += _lost(connection, [day for day in known if day.day < as_of_date], days)
        findings += absurd_orders(connection, as_of_date)
    # a shop's first days are accepted unchecked, also days without an order
    quiet_at_first = _new(days, days, as_of_date) if days and not known else []
    quiet_days = {day.day for day in new if not day.count_orders}
    findings = _quiet_days_as_one(findings, quiet_days) + _off_totals(settings, as_of_date, days)
    batch_ids = _batches(settings, [f.day for f in findings if f.severity == CRITICAL])
    if not batch_ids:  # nothing to hold: a person accepted every batch of these days
        findings = [replace(finding, severity=WARNING) for finding in findings]
    try:
        summary = run_gate(
            settings, "scorer", "days", [_check(findings)], as_of_date=as_of_date, run_id=run_id
        )
    except GateFailed as failure:
        raise _held(settings, batch_ids, findings, run_id) from failure
    with connect(settings, "transformer") as connection:
        _store(connection, known, [*days, *quiet_at_first], new)
    warnings = [finding.text for finding in findings]
    return {
        "judged_days": len(new),
        "judged": [TABLE] if new else [],
        "rule_count": summary.rule_count,
        "warnings": warnings,
    }


def _held(
    settings: Settings, batch_ids: Sequence[int], findings: Iterable[Finding], run_id: str
) -> GateFailed:
    from ingest.batches import take_back

    for batch_id in batch_ids:
        take_back(settings, batch_id, f"the gate of days stopped it in run {run_id}")
    why = " | ".join(f.text for f in findings if f.severity == CRITICAL)
    named = ", ".join(map(str, batch_ids))
    first = batch_ids[0]
    return GateFailed(
        f"batch {named} is held: {why}. If it is right, `make accept BATCH={first}`, else "
        f"`make refuse BATCH={first}`; then `make run` for the date again"
    )


def _check(findings: Sequence[Finding]) -> Check:
    """The findings as rows, and a rule per kind with the findings in its description."""
    rows: list[sql.Composable] = [
        sql.SQL("({}::date, {}, {})").format(
            sql.Literal(f.day), sql.Literal(f.rule), sql.Literal(f.severity)
        )
        for f in findings
    ] or [sql.SQL("(null::date, '', '')")]
    query = sql.SQL("select * from (values {}) as findings (day, rule, severity)").format(
        sql.SQL(", ").join(rows)
    )
    return Check(TABLE, query, FINDING_COLUMNS, [*_rules(findings)])


def _rules(findings: Sequence[Finding]) -> Iterable[Rule]:
    for rule in RULES:
        for severity in (CRITICAL, WARNING):
            texts = [f.text for f in findings if (f.rule, f.severity) == (rule, severity)]
            yield no_rows(
                f"select 1 from {{batch}} where rule = '{rule}' and severity = '{severity}'",
                f"{rule} of new days are usual" + "".join(f"; but {t}" for t in texts),
                severity=severity,
            )


def _query(name: str) -> str:
    """The statement of days.sql with this name in the comment above it."""
    parts = QUERIES.read_text().split("-- name: ")[1:]
    return {part.split("\n", 1)[0].strip(): part.split("\n", 1)[1] for part in parts}[name]


def _known_days(connection: psycopg.Connection[Any]) -> list[ShopDay]:
    rows = connection.execute(_query("judged"))
    return [
        ShopDay(day, orders, guests, amount, is_usual=is_usual)
        for day, orders, guests, amount, is_usual in rows
    ]


def _days(
    connection: psycopg.Connection[Any], as_of_date: date, known: Sequence[ShopDay]
) -> list[ShopDay]:
    """Days that this build may have changed, and the days since the last one checked."""
    newest = max((day.day for day in known), default=date.min)
    since = min(newest, as_of_date - timedelta(days=NEW_DAYS))
    rows = connection.execute(_query("days"), {"since": since, "as_of_date": as_of_date})
    return [ShopDay(*row) for row in rows]


def _new(days: Sequence[ShopDay], known: Sequence[ShopDay], as_of_date: date) -> list[ShopDay]:
    """Days with more orders than when they were checked, and unchecked days with none."""
    before = {day.day: day.count_orders for day in known}
    now = {day.day: day for day in days}
    newest = max([*before, *now])
    first = max(min(before), as_of_date - timedelta(days=NEW_DAYS))
    last = min(as_of_date, newest + timedelta(days=QUIET_DAYS + 1))
    all_days = (first + timedelta(days=n) for n in range((last - first).days))
    return [
        now.get(day, ShopDay(day, 0))
        for day in all_days
        if (day in now and now[day].count_orders > before.get(day, 0)) or day not in before
    ]


def _check_in_turn(
    new: Sequence[ShopDay], known: Sequence[ShopDay]
) -> tuple[list[ShopDay], list[Finding]]:
    """Check each new day against the usual days before it."""
    history = {day.day: day for day in reversed(known)}  # as stored, where a day was checked before
    for day in new:
        history.pop(day.day, None)
    checked, findings = [], []
    for day in new:
        of_day = findings_of(day, list(history.values()))
        is_odd = any(f.severity == CRITICAL and f.rule in ("orders", "sales") for f in of_day)
        history[day.day] = replace(day, is_usual=not is_odd)
        checked.append(history[day.day])
        findings += of_day
    return checked, findings


def _with_facts(connection: psycopg.Connection[Any], new: Sequence[ShopDay]) -> list[ShopDay]:
    """Add each day's price level, and the earlier day that it repeats most."""
    if not new:
        return []
    bounds = {"first": new[0].day, "days": [day.day for day in new]}
    bounds |= {"price_days": PRICE_DAYS, "repeat_days": NEW_DAYS}
    levels = dict(connection.execute(_query("prices"), bounds).fetchall())
    repeats = {row[0]: row[1:] for row in connection.execute(_query("repeats"), bounds)}
    with_facts = []
    for day in new:
        repeated_day, rate = repeats.get(day.day, (None, None))
        with_facts.append(
            replace(
                day,
                price_level=levels.get(day.day),
                repeated_rate=rate,
                repeated_day=repeated_day,
            )
        )
    return with_facts


def _lost(
    connection: psycopg.Connection[Any], known: Sequence[ShopDay], days: Sequence[ShopDay]
) -> list[Finding]:
    """Findings on orders lost since their days were checked; none if a file was refused."""
    if not known or connection.execute(_query("refused")).fetchone() != (0,):
        return []
    first = min((day.day for day in days), default=date.max)
    before = {day.day: day.count_orders for day in known if day.day >= first}
    return lost(before, {day.day: day.count_orders for day in days})


def _off_totals(settings: Settings, as_of_date: date, days: Sequence[ShopDay]) -> list[Finding]:
    """Findings on days where the shop's own totals, if it sends any, differ from the marts."""
    source = sources.load(settings.staging_source)
    table = next((table for table in source.tables if table.name == TOTALS), None)
    if table is None or not days:
        return []
    cast = casts(own(settings).time_zone)
    query = sql.SQL(_query("totals")).format(
        table=sql.Identifier("raw", table.raw_table),
        day=sql.SQL(cast.as_date("day").replace("%", "%%")),
        orders=sql.SQL(cast.as_whole_number("orders").replace("%", "%%")),
        amount=sql.SQL(cast.as_number("gross_amount").replace("%", "%%")),
    )
    span = {"first": min(day.day for day in days), "as_of_date": as_of_date}
    with connect(settings, "loader") as connection:
        totals = {row[0]: (row[1], float(row[2])) for row in connection.execute(query, span)}
    if not totals:
        return []
    with connect(settings, "transformer") as connection:
        rows = connection.execute(_query("gross"), span)
        return reconcile(totals, {row[0]: (row[1], float(row[2])) for row in rows})


def _quiet_days_as_one(findings: Sequence[Finding], quiet_days: Collection[date]) -> list[Finding]:
    """Merge the findings on consecutive days without an order into one."""
    quiet = [f for f in findings if f.rule == "orders" and f.day in quiet_days]
    kept = [f for f in findings if f not in quiet]
    runs = groupby(enumerate(quiet), key=lambda item: item[1].day.toordinal() - item[0])
    for _, run in runs:
        days = [finding for _, finding in run]
        more = f", nor have the {len(days) - 1} days after it" if len(days) > 1 else ""
        kept.append(replace(days[0], text=days[0].text + more))
    return kept


def _batches(settings: Settings, stopped: Sequence[date]) -> list[int]:
    """Batches with rows of the stopped days that the raw gate accepted, not a person."""
    if not stopped:
        return []
    with connect(settings, "transformer") as connection:
        rows = connection.execute(_query("batches"), {"days": list(stopped)})
        return [batch_id for (batch_id,) in rows]


def _store(
    connection: psycopg.Connection[Any],
    known: Sequence[ShopDay],
    days: Sequence[ShopDay],
    new: Sequence[ShopDay],
) -> None:
    was_usual = {day.day: day.is_usual for day in known}
    stored = {day.day: replace(day, is_usual=was_usual.get(day.day, True)) for day in days}
    stored |= {day.day: day for day in new}
    with connection.cursor() as cursor:
        cursor.executemany(
            _query("remember"),
            [
                (d.day, d.count_orders, d.count_guest_orders, d.product_amount, d.is_usual)
                for d in stored.values()
            ],
        )
