"""Which questions are offered at this shop: those whose optional tables it has sent.

A shop without events, reviews or tickets is a whole shop. A question that needs them is not offered
then: `make run` and `reporting.questions` say so, and nothing waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perennial import contracts

if TYPE_CHECKING:
    import psycopg


def note_questions(connection: psycopg.Connection[Any]) -> None:
    """Make ops.questions what the contracts say, as owner; only what changed is written."""
    rows = [
        (name, one.kind, one.description, list(one.needs))
        for name in contracts.questions()
        for one in [contracts.load(name)]
    ]
    with connection.transaction():
        connection.execute(
            "delete from ops.questions where question <> all(%s)", [[row[0] for row in rows]]
        )
        for row in rows:
            connection.execute(
                "insert into ops.questions (question, kind, description, needs)"
                " values (%s, %s, %s, %s) on conflict (question) do update"
                " set kind = excluded.kind, description = excluded.description,"
                " needs = excluded.needs where (questions.kind, questions.description,"
                " questions.needs) is distinct from"
                " (excluded.kind, excluded.description, excluded.needs)",
                row,
            )


def why_not(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Questions that are not offered -> why, in words.

    Args:
        connection: Any role of a step.
    """
    rows = connection.execute(
        "select question, why_not_offered from ops.offers where not is_offered order by question"
    ).fetchall()
    return dict(rows)


def offered(connection: psycopg.Connection[Any]) -> list[str]:
    """Questions that are offered; one that reads others comes after them."""
    missing = why_not(connection)
    return [question for question in contracts.questions() if question not in missing]
