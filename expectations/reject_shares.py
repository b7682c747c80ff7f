"""Find rejects above the usual share of orders or money, by reason and by group.

Pure functions: levels in, findings out. A level is the number of orders, and the money, of a group
that were sent or rejected by the end of a build. The difference of two levels is what a build
brought, whether files are whole dumps, growing files or single days.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from expectations.reject_reasons import FAULT, HABIT, SEVERAL_FAULTS, kind_of
from expectations.results import CRITICAL, WARNING, Severity

# A group is checked from this many orders, or this share of the shop's money, on.
GROUP_MIN_ORDERS, GROUP_MIN_MONEY_RATE = 30, 0.02
# Fewer than FEW rejected orders count by their money only. Fewer than SEVERAL stop nothing, unless
# they are more than the share MOST of the sent orders.
FEW, SEVERAL, MOST = 3, 10, 0.5
ONE_ORDERS_MONEY_RATE = 0.2  # above this share of the money even a single order warns
TIMES_OWN_PAST = 3.0
TIMES_THE_WHOLE = 2.0  # a group with this many times the shop's share of rejects is named
POISSON_DEVIATIONS = 4.0

WHOLE = ("all", "")  # the group that is the whole shop
SENT = ""  # the reason of levels of all sent orders, rejected or not


class Key(NamedTuple):
    """A group of the shop, and a reason of rejects; the reason SENT stands for all sent orders."""

    dimension: str
    group: str
    reason: str


class Level(NamedTuple):
    """Number of orders (of a table: rows, of a product: lines), and their money, shop currency."""

    orders: float = 0
    amount: float = 0


Levels = Mapping[Key, Level]


@dataclass(frozen=True)
class Share:
    """Rejects of a group for a reason, beside all that was sent.

    Attributes:
        dimension: all, country, product, month or table.
        group: Name of the group.
        lost: Rejected orders and money.
        sent: All sent orders and money, rejected or not.
    """

    dimension: str
    group: str
    lost: Level
    sent: Level

    @property
    def of_orders(self) -> float:
        """Share of orders, in [0, 1]; above 1 only if rows are sent again and again."""
        return self.lost.orders / self.sent.orders if self.sent.orders > 0 else 0.0

    @property
    def of_money(self) -> float:
        """Share of money, in [0, 1]; above 1 only if rows are sent again and again."""
        return self.lost.amount / self.sent.amount if self.sent.amount > 0 else 0.0

    @property
    def rate(self) -> float:
        """Share of orders, or of money if that is larger."""
        return max(self.of_orders, self.of_money)


@dataclass(frozen=True)
class Finding:
    """Too many rejects for a reason: in the whole shop, in groups, or in both."""

    reason: str
    severity: Severity
    whole: Share
    groups: list[Share] = field(default_factory=list)


def findings_of(now: Levels, before: Levels) -> list[Finding]:
    """Compare the rejects since `before` with the orders and money sent since.

    Args:
        now: Levels at the end of this build.
        before: Levels at the end of the build to compare with. Empty on a first load: then all
            sent orders are checked, by the bounds alone.

    Returns:
        A finding per reason with too many rejects: critical before warning, then largest first.
    """
    shares = _shares(now, before)
    findings = []
    for reason in sorted({key.reason for key in shares}):
        of_reason = {key: share for key, share in shares.items() if key.reason == reason}
        whole = of_reason.get(Key(*WHOLE, reason)) or _largest(of_reason.values())
        excess: dict[Severity, list[Share]] = {CRITICAL: [], WARNING: []}
        for key, share in of_reason.items():
            severity = _severity(share, reason, _past(key, before))
            if severity and _counts(share, shares, reason):
                excess[severity].append(share)
        for dimension in ("product",):
            pool = _nearly_gone([s for s in of_reason.values() if s.dimension == dimension])
            if pool and _is_heavy(pool, whole) and kind_of(reason).bounds.stops_of_group <= 1:
                excess[CRITICAL] += pool
        severity = CRITICAL if excess[CRITICAL] else WARNING if excess[WARNING] else None
        if severity:
            groups = {(s.dimension, s.group): s for s in excess[severity] if _stands_out(s, whole)}
            named = sorted(groups.values(), key=lambda s: (-s.lost.amount, -s.lost.orders, s.group))
            findings.append(Finding(reason, severity, whole, named))
    return sorted(
        _each_once(findings),
        key=lambda f: (f.severity, -f.whole.of_money, -f.whole.of_orders, f.reason),
    )


def _each_once(findings: list[Finding]) -> list[Finding]:
    """Drop the finding SEVERAL_FAULTS if findings on single faults, as severe, are most of it."""
    several = next((f for f in findings if f.reason == SEVERAL_FAULTS), None)
    if several is None:
        return findings
    rest = [f for f in findings if f is not several]
    same = [
        f.whole.lost
        for f in rest
        if kind_of(f.reason).bounds is FAULT and f.severity <= several.severity
    ]
    orders, amount = (sum(level.orders for level in same), sum(level.amount for level in same))
    lost = several.whole.lost
    is_covered = same and orders >= MOST * lost.orders and amount >= MOST * lost.amount
    return rest if is_covered else findings


def _shares(now: Levels, before: Levels) -> dict[Key, Share]:
    """Rejects since `before`, beside the orders and money sent since."""
    shares = {}
    for key, level in now.items():
        if key.reason == SENT:
            continue
        sent_key = key._replace(reason=SENT)
        lost = _more(level, before.get(key, Level()))
        if lost.orders <= 0 and lost.amount <= 0:
            continue
        all_sent = now.get(sent_key, Level())
        new = _more(all_sent, before.get(sent_key, Level()))
        # more lost than sent: orders that counted before no longer do, so compare with all sent
        sent = Level(*(n if n >= k else a for n, k, a in zip(new, lost, all_sent, strict=True)))
        shares[key] = Share(key.dimension, key.group, lost, sent)
    return shares


def _more(level: Level, before: Level) -> Level:
    return Level(max(0, level.orders - before.orders), max(0, level.amount - before.amount))


def _past(key: Key, before: Levels) -> float | None:
    """The share of orders, or of money if larger, rejected for the key's reason until now.

    None if the shop has sent too few orders until now.
    """
    rates = []
    for group in (key, Key(*WHOLE, key.reason)):
        lost = before.get(group, Level())
        sent = before.get(group._replace(reason=SENT), Level())
        if sent.orders >= GROUP_MIN_ORDERS:
            rates += [lost.orders / sent.orders]
            rates += [lost.amount / sent.amount] if sent.amount else []
    return min(1.0, max(rates)) if rates else None


def _severity(share: Share, reason: str, known_past: float | None) -> Severity | None:
    past = known_past or 0.0
    bounds = kind_of(reason).bounds
    is_whole = (share.dimension, share.group) == WHOLE
    warns, stops = (
        (bounds.warns, bounds.stops) if is_whole else (bounds.warns_of_group, bounds.stops_of_group)
    )
    lost = share.lost.orders
    expected = past * share.sent.orders
    is_chance = lost <= expected + POISSON_DEVIATIONS * math.sqrt(expected)
    rate = share.rate
    if lost < FEW:
        is_much = is_whole and warns <= 1 and share.of_money > max(ONE_ORDERS_MONEY_RATE, warns)
        return WARNING if is_much and rate > _own(warns, past) else None
    is_known = known_past is not None and lost >= SEVERAL and not is_chance
    if bounds is HABIT and is_whole and is_known:  # a known past lowers the bound of a habit
        warns = min(warns, max(FAULT.warns, TIMES_OWN_PAST * past))
    if is_chance and share.of_money <= _own(warns, past):
        return None
    if rate > _own(stops, past) and (lost >= SEVERAL or rate > max(MOST, stops)):
        return CRITICAL
    return WARNING if rate > _own(warns, past) else None


def _own(bound: float, past: float) -> float:
    """The bound, raised for a shop with a large share in the past: to three times that share.

    A shop that always lost 40 % cannot lose three times as much; its bound is half way to 1.
    """
    return max(bound, min(TIMES_OWN_PAST * past, (1 + past) / 2)) if bound <= 1 else bound


def _counts(share: Share, shares: Mapping[Key, Share], reason: str) -> bool:
    """True if a group is large enough to be checked on its own."""
    if (share.dimension, share.group) == WHOLE or share.sent.orders >= GROUP_MIN_ORDERS:
        return True
    whole = shares.get(Key(*WHOLE, reason))
    return whole is not None and _is_heavy([share], whole)


def _is_heavy(groups: list[Share], whole: Share) -> bool:
    """True if the groups together are large enough to be checked."""
    orders = sum(share.sent.orders for share in groups)
    amount = sum(share.sent.amount for share in groups)
    return orders >= GROUP_MIN_ORDERS or (
        whole.sent.amount > 0 and amount >= GROUP_MIN_MONEY_RATE * whole.sent.amount
    )


def _stands_out(share: Share, whole: Share) -> bool:
    """True if a group loses clearly more than the shop, so that its name points to the cause."""
    return share is not whole and share.rate >= TIMES_THE_WHOLE * min(whole.rate, 0.5)


def _nearly_gone(groups: list[Share]) -> list[Share]:
    """Groups with most orders rejected, such as goods sold by weight, in quantities of 0.75."""
    return [s for s in groups if s.lost.orders >= FEW and s.of_orders > MOST]


def _largest(shares: object) -> Share:
    return max(shares, key=lambda s: (s.lost.orders, s.lost.amount))  # type: ignore[call-overload]
