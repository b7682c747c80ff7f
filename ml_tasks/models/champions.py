"""The champions of each question: the rows of ops.champions, which are only appended.

The newest row of a question and training date is valid. A date is scored by the champion of the
newest training date on or before it.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

TRAINED, REFRESHED, ROLLED_BACK = "trained", "refreshed", "rolled_back"
RULE = "rule"  # decided_by, if no person had to decide


class ChampionError(ValueError):
    """A decision is not possible; the message says what is missing."""


@dataclass(frozen=True)
class Champion:
    """One decision.

    Attributes:
        training_date: The decision is valid for dates from this day on.
        model_version, model_training_date: The champion.
        previous_version: The champion before.
        challenger_version: The challenger.
        decision: See ops.champions.
    """

    question: str
    training_date: date
    model_version: str
    model_training_date: date
    decision: str
    reason: str
    decided_by: str = RULE
    previous_version: str | None = None
    challenger_version: str | None = None
    figures: list[dict[str, Any]] | None = None


COLUMNS = ", ".join(Champion.__dataclass_fields__)
# The newest row of each training date.
VALID = (
    f"select distinct on (training_date) champion_id, {COLUMNS} from ops.champions"
    " where question = %(question)s order by training_date desc, champion_id desc"
)


def in_force(
    connection: psycopg.Connection[Any], question: str, as_of_date: date, since: date | None = None
) -> Champion | None:
    """The decision that is valid for a date; None if there is none.

    Args:
        connection: Role scorer.
        question: Name of the question.
        as_of_date: The date to score.
        since: Decisions for earlier training dates are ignored.
    """
    with connection.cursor(row_factory=class_row(Champion)) as cursor:
        return cursor.execute(
            f"select {COLUMNS} from ({VALID}) as valid"
            " where training_date <= %(as_of_date)s and training_date >= %(since)s"
            " order by training_date desc limit 1",
            {"question": question, "as_of_date": as_of_date, "since": since or date.min},
        ).fetchone()


def decided(
    connection: psycopg.Connection[Any], question: str, training_date: date
) -> Champion | None:
    """The valid decision of exactly this training date; None if there is none."""
    return in_force(connection, question, training_date, since=training_date)


def is_rolled_back(connection: psycopg.Connection[Any], question: str, model_version: str) -> bool:
    """Whether a person rolled the version back."""
    row = connection.execute(
        f"select exists(select from ({VALID}) as valid"
        " where decision = %(rolled_back)s and previous_version = %(version)s)",
        {"question": question, "rolled_back": ROLLED_BACK, "version": model_version},
    ).fetchone()
    return bool(row and row[0])


def record(connection: psycopg.Connection[Any], champion: Champion) -> bool:
    """Append a decision, unless an equal one is valid already. Returns whether it was appended."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"champion {champion.question}"]
    )
    newest = decided(connection, champion.question, champion.training_date)
    if newest and _same(newest, champion):
        return False
    fields = {name: getattr(champion, name) for name in Champion.__dataclass_fields__}
    fields["figures"] = Jsonb(champion.figures) if champion.figures is not None else None
    places = ", ".join(f"%({name})s" for name in fields)
    connection.execute(f"insert into ops.champions ({COLUMNS}) values ({places})", fields)
    return True


def _same(one: Champion, other: Champion) -> bool:
    names = ("model_version", "decision", "challenger_version", "decided_by")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def roll_back(settings: Settings, question: str, why: str) -> Champion:
    """Replace the newest champion by the version before it.

    Dates that were published with the newest champion are scored by the version before when they
    are scored again.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        why: The reason, a sentence; it is stored.

    Returns:
        The decision, valid from the newest training date on.

    Raises:
        ChampionError: If there is no reason, no champion, or no version before it.
    """
    if not why.strip():
        raise ChampionError("give a reason, it is stored: make rollback QUESTION=churn WHY='...'")
    with connect(settings, "scorer") as connection:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"champion {question}"]
        )
        newest, before = _newest_two(connection, question)
        champion = Champion(
            question=question,
            training_date=newest.training_date,
            model_version=before.model_version,
            model_training_date=before.model_training_date,
            previous_version=newest.model_version,
            decision=ROLLED_BACK,
            reason=why.strip(),
            decided_by=getpass.getuser(),
        )
        record(connection, champion)
    return champion


def _newest_two(connection: psycopg.Connection[Any], question: str) -> tuple[Champion, Champion]:
    """The newest champion, and the one before it."""
    newest = in_force(connection, question, date.max)
    if newest is None:
        raise ChampionError(f"{question} has no champion yet: score it first (`make run`)")
    before = _before(connection, newest)
    if before is None:
        raise ChampionError(
            f"{question}: no other version was champion before {newest.model_version}"
        )
    return newest, before


def _before(connection: psycopg.Connection[Any], newest: Champion) -> Champion | None:
    """The last decision for another version, one that was not rolled back."""
    with connection.cursor(row_factory=class_row(Champion)) as cursor:
        candidates = cursor.execute(
            f"select {COLUMNS} from ops.champions"
            " where question = %s and training_date <= %s and model_version <> %s"
            " order by training_date desc, champion_id desc",
            [newest.question, newest.training_date, newest.model_version],
        ).fetchall()
    return next(
        (
            candidate
            for candidate in candidates
            if not is_rolled_back(connection, newest.question, candidate.model_version)
        ),
        None,
    )
