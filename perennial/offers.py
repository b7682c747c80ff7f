"""List the questions that are offered: the shop has sent all optional tables that they need.

A shop may lack events, reviews or tickets. A question that needs them is then not offered:
`make run` and `reporting.questions` show the reason, and nothing waits for the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perennial import contracts

if TYPE_CHECKING:
    import psycopg


def note_questions(connection: psycopg.Connection[Any]) -> None:
    """Write the contracts' questions to ops.questions, as owner; unchanged rows are kept."""
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
    """The questions that are not offered, each with the reason in words.

    Args:
        connection: Connection of any role of a step.
    """
    rows = connection.execute(
        "select question, why_not_offered from ops.offers where not is_offered order by question"
    ).fetchall()
    return dict(rows)


def offered(connection: psycopg.Connection[Any]) -> list[str]:
    """The questions that are offered; each comes after the questions that it reads."""
    missing = why_not(connection)
    return [question for question in contracts.questions() if question not in missing]
