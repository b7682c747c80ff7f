"""Whether staging rejects more than it should: by orders and by money, by reason and by group.

Pure: levels in, findings out. A level is how many orders, and how much money, of a group counted
or were rejected when a build ended. What a build brought is the difference of two levels, in
whatever form the files came: as whole dumps, growing files or day by day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from expectations.reject_reasons import FAULT, HABIT, SEVERAL_FAULTS, kind_of
from expectations.results import CRITICAL, WARNING, Severity

# A group counts from so many orders, or such a share of the money, on.
GROUP_MIN_ORDERS, GROUP_MIN_MONEY_RATE = 30, 0.02
# Fewer rejected orders than this say nothing but by their money; fewer than SEVERAL stop nothing
# unless most of what came is among them.
FEW, SEVERAL, MOST = 3, 10, 0.5
ONE_ORDERS_MONEY_RATE = 0.2  # of the money: told, be it a single order
TIMES_OWN_PAST = 3.0
TIMES_THE_WHOLE = 2.0  # a group that loses so much more than the shop is named
POISSON_DEVIATIONS = 4.0

WHOLE = ("all", "")  # the group that is the whole shop
SENT = ""  # reason of the rows that hold what was sent, whatever became of it


class Key(NamedTuple):
    """A group of the shop, and why rows of it are rejected; the reason SENT: all that was sent."""

    dimension: str
    group: str
    reason: str


class Level(NamedTuple):
    """Orders (of a table: rows; of a product: lines), and their money in the shop's currency."""

    orders: float = 0
    amount: float = 0


Levels = Mapping[Key, Level]


@dataclass(frozen=True)
class Share:
    """What of a group is rejected for a reason.

    Attributes:
        dimension: all, country, product, month or table.
        group: Which of them.
        lost: Rejected.
        sent: All that came, rejected or not.
    """

    dimension: str
    group: str
    lost: Level
    sent: Level

    @property
    def of_orders(self) -> float:
        """In [0, 1], but for rows that are sent again and again."""
        return self.lost.orders / self.sent.orders if self.sent.orders > 0 else 0.0

    @property
    def of_money(self) -> float:
        """In [0, 1], but for rows that are sent again and again."""
        return self.lost.amount / self.sent.amount if self.sent.amount > 0 else 0.0

    @property
    def rate(self) -> float:
        """Of orders, or of money if that is more."""
        return max(self.of_orders, self.of_money)


@dataclass(frozen=True)
class Finding:
    """Too much is rejected for a reason: of the whole shop, of groups, or of both."""

    reason: str
    severity: Severity
    whole: Share
    groups: list[Share] = field(default_factory=list)


def judge(now: Levels, before: Levels) -> list[Finding]:
    """Compare what was rejected since `before` with what was sent since.

    Args:
        now: Levels at the end of this build.
        before: Levels at the end of the build to compare with; empty on a first load: then all
            that was sent is judged, by the bounds alone.

    Returns:
        A finding for each reason with too much, the gravest and the largest first.
    """
    shares = _shares(now, before)
    findings = []
    for reason in sorted({key.reason for key in shares}):
        of_reason = {key: share for key, share in shares.items() if key.reason == reason}
        whole = of_reason.get(Key(*WHOLE, reason)) or _largest(of_reason.values())
        told: dict[Severity, list[Share]] = {CRITICAL: [], WARNING: []}
        for key, share in of_reason.items():
            severity = _severity(share, reason, _past(key, before))
            if severity and _counts(share, shares, reason):
                told[severity].append(share)
        for dimension in ("product",):
            pool = _nearly_gone([s for s in of_reason.values() if s.dimension == dimension])
            if pool and _is_heavy(pool, whole) and kind_of(reason).bounds.stops_of_group <= 1:
                told[CRITICAL] += pool
        severity = CRITICAL if told[CRITICAL] else WARNING if told[WARNING] else None
        if severity:
            groups = {(s.dimension, s.group): s for s in told[severity] if _stands_out(s, whole)}
            named = sorted(groups.values(), key=lambda s: (-s.lost.amount, -s.lost.orders, s.group))
            findings.append(Finding(reason, severity, whole, named))
    return sorted(
        _each_once(findings),
        key=lambda f: (f.severity, -f.whole.of_money, -f.whole.of_orders, f.reason),
    )


def _each_once(findings: list[Finding]) -> list[Finding]:
    """Without the sum of faults, where those told by themselves, as grave, are most of it."""
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
    is_told = same and orders >= MOST * lost.orders and amount >= MOST * lost.amount
    return rest if is_told else findings


def _shares(now: Levels, before: Levels) -> dict[Key, Share]:
    """What is rejected now and was not before, beside what is there now and was not before."""
    found = {}
    for key, level in now.items():
        if key.reason == SENT:
            continue
        sent_key = key._replace(reason=SENT)
        lost = _more(level, before.get(key, Level()))
        if lost.orders <= 0 and lost.amount <= 0:
            continue
        all_sent = now.get(sent_key, Level())
        new = _more(all_sent, before.get(sent_key, Level()))
        # more is lost than came: what counted before does no longer, and is part of the whole
        sent = Level(*(n if n >= k else a for n, k, a in zip(new, lost, all_sent, strict=True)))
        found[key] = Share(key.dimension, key.group, lost, sent)
    return found


def _more(level: Level, before: Level) -> Level:
    return Level(max(0, level.orders - before.orders), max(0, level.amount - before.amount))


def _past(key: Key, before: Levels) -> float | None:
    """The share of orders, or of money if that is more, that the shop lost so until now.

    None if the shop sent too little until now to say.
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
    told, stops = (
        (bounds.told, bounds.stops) if is_whole else (bounds.told_of_group, bounds.stops_of_group)
    )
    lost = share.lost.orders
    expected = past * share.sent.orders
    is_chance = lost <= expected + POISSON_DEVIATIONS * math.sqrt(expected)
    rate = share.rate
    if lost < FEW:
        is_told = is_whole and told <= 1 and share.of_money > max(ONE_ORDERS_MONEY_RATE, told)
        return WARNING if is_told and rate > _own(told, past) else None
    is_known = known_past is not None and lost >= SEVERAL and not is_chance
    if bounds is HABIT and is_whole and is_known:  # the past lowers what a habit may be
        told = min(told, max(FAULT.told, TIMES_OWN_PAST * past))
    if is_chance and share.of_money <= _own(told, past):
        return None
    if rate > _own(stops, past) and (lost >= SEVERAL or rate > max(MOST, stops)):
        return CRITICAL
    return WARNING if rate > _own(told, past) else None


def _own(bound: float, past: float) -> float:
    """The bound, or what is unusual for a shop that always had more: three times as much.

    A shop that lost 40 % all along can't lose three times that: then half of what it had left.
    """
    return max(bound, min(TIMES_OWN_PAST * past, (1 + past) / 2)) if bound <= 1 else bound


def _counts(share: Share, shares: Mapping[Key, Share], reason: str) -> bool:
    """Whether a group is large enough to be judged by itself."""
    if (share.dimension, share.group) == WHOLE or share.sent.orders >= GROUP_MIN_ORDERS:
        return True
    whole = shares.get(Key(*WHOLE, reason))
    return whole is not None and _is_heavy([share], whole)


def _is_heavy(groups: list[Share], whole: Share) -> bool:
    """Whether groups are together large enough to be judged, though none may be so alone."""
    orders = sum(share.sent.orders for share in groups)
    amount = sum(share.sent.amount for share in groups)
    return orders >= GROUP_MIN_ORDERS or (
        whole.sent.amount > 0 and amount >= GROUP_MIN_MONEY_RATE * whole.sent.amount
    )


def _stands_out(share: Share, whole: Share) -> bool:
    """Whether a group loses more than the shop does, so that its name helps to find the cause."""
    return share is not whole and share.rate >= TIMES_THE_WHOLE * min(whole.rate, 0.5)


def _nearly_gone(groups: list[Share]) -> list[Share]:
    """Groups of which most is rejected: goods that are sold by weight, in quantities of .75."""
    return [s for s in groups if s.lost.orders >= FEW and s.of_orders > MOST]


def _largest(shares: object) -> Share:
    return max(shares, key=lambda s: (s.lost.orders, s.lost.amount))  # type: ignore[call-overload]
