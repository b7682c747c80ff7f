"""Refuse an edit of rules that were published: a change of rules never rewrites the past.

A publication's model version has the name of the newest rules then in force, and a digest of all
rules in force by then. So what was published says which rules made it, and nothing else is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date
from typing import TYPE_CHECKING, Any

from ml_tasks.loyalty.programme import PROGRAMME, ProgrammeError

if TYPE_CHECKING:
    import psycopg

Published = tuple[str, date, date]  # model version, its first date, its last date

QUERY = (
    "select model_version, min(as_of_date), max(as_of_date) from ops.publications"
    " where question = 'loyalty' group by model_version order by min(as_of_date), model_version"
)


def published(connection: psycopg.Connection[Any]) -> list[Published]:
    """Model versions that were published, with the first and the last date of each."""
    return [(row[0], row[1], row[2]) for row in connection.execute(QUERY).fetchall()]


def check(
    found: Iterable[Published], version_of: Callable[[date], str], corrected: Collection[str]
) -> None:
    """Check that today's rules of each published date are those it was published with.

    Args:
        found: From `published`.
        version_of: Model version of a date by today's file.
        corrected: Published model versions that the file knowingly replaces.

    Raises:
        ProgrammeError: If a version that was published was edited, or one was added before a
            published date.
    """
    for model_version, *days in found:
        for day in days:
            if model_version in corrected or version_of(day) == model_version:
                continue
            name = model_version.rsplit("-", 1)[0]
            raise ProgrammeError(
                f"{PROGRAMME}: version {name!r}: {day} was published with {model_version}, and the"
                f" rules in force on that date are now {version_of(day)}. Restore what was in"
                " force, and add a new version whose valid_from is later than every published"
                f" date. If those rules were never the shop's, put {model_version} under"
                " `corrected`: dates that are scored again then follow today's file"
            )
