"""Queries of MLflow's own tables.

Every scoring task looks for its model, and importing MLflow's client would take 3 s each time. An
upgrade of MLflow may change the tables; the registry's tests then fail.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from perennial.settings import Settings

DATABASE = ROLE = "mlflow"
CHAMPION, CHALLENGER = "champion", "challenger"
# Tags of a version.
TRAINING_DATE, MODEL_VERSION = "training_date", "model_version"
# How a version was made: digest of code and lock (see `models.recipe`), and `challenger` or none.
RECIPE, TRAINED_AS = "recipe", "trained_as"
NEWEST = (
    "with tagged as ("
    " select workspace, name, version, jsonb_object_agg(key, value) as tags"
    " from model_version_tags where name = %(question)s group by workspace, name, version)"
    " select run_id, tags ->> 'model_version', source"
    " from model_versions join tagged using (workspace, name, version)"
    " where current_stage <> 'Deleted_Internal'"
    " and tags ->> 'training_date' = %(training_date)s"
    " and (%(model_version)s::text is null or tags ->> 'model_version' = %(model_version)s)"
    " and (%(recipe)s::text is null or tags ->> 'recipe' = %(recipe)s)"
    " and (coalesce(%(model_version)s, %(recipe)s) is not null"
    " or tags ->> 'trained_as' is distinct from %(challenger)s)"
    " order by version desc limit 1"
)


def newest_version(
    settings: Settings,
    question: str,
    training_date: date,
    model_version: str | None,
    recipe: str | None = None,
) -> tuple[str, str, str] | None:
    """The newest version of a training date: MLflow's run_id, our model_version, URL of its files.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        training_date: The training date.
        model_version: Only this version; None: any.
        recipe: Only versions of this recipe; None: any. Without version and recipe, challengers are
            left out.
    """
    wanted = {
        "question": question,
        "training_date": str(training_date),
        "model_version": model_version,
        "recipe": recipe,
        "challenger": CHALLENGER,
    }
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        return connection.execute(NEWEST, wanted).fetchone() if has_tables(connection) else None


def named(settings: Settings, question: str, alias: str) -> str:
    """Our model_version that an alias points at; empty if there is none."""
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        if not has_tables(connection):
            return ""
        row = connection.execute(
            "select value from registered_model_aliases"
            " join model_version_tags using (workspace, name, version)"
            " where name = %s and alias = %s and key = %s",
            [question, alias, MODEL_VERSION],
        ).fetchone()
    return row[0] if row else ""


def has_tables(connection: psycopg.Connection[Any]) -> bool:
    """Whether MLflow has created its tables."""
    row = connection.execute("select to_regclass('public.model_version_tags')").fetchone()
    return row is not None and row[0] is not None
