"""The model registry: MLflow on the same Postgres, artefacts as files in the home or at a URL.

Each question is one experiment and one registered model; each trained model is one run and one
version. A version's tags name its training date. The aliases `champion` and `challenger` point at
the newest of each; ops.champions holds the dates from which a champion is valid. Nothing is a
pickle: files are JSON, PNG, Markdown, and what the question wrote.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from ml_tasks.models import artefacts, mlflow_runs
from ml_tasks.models.mlflow_tables import (
    CHALLENGER,
    CHAMPION,
    DATABASE,
    RECIPE,
    ROLE,
    TRAINED_AS,
    TRAINING_DATE,
    has_tables,
    named,
    newest_version,
)
from ml_tasks.trained_model import TrainedModel
from perennial.settings import Settings
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RECIPE",
    "TRAINED_AS",
    "RegistryError",
    "add",
    "find",
    "forget",
    "initialise",
    "name",
    "report_of",
    "training_lock",
    "upgrade",
]

REMEDY = "restore them, or call ml_tasks.models.registry.forget to have it trained again"


class RegistryError(Exception):
    """A stored model is missing or was changed; the message names it and the remedy."""


def initialise(settings: Settings) -> None:
    """Create MLflow's tables if there are none. Idempotent, also when run side by side."""
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('mlflow tables'))")
        if not has_tables(connection):
            mlflow_runs.client_of(settings).search_registered_models(max_results=1)


def upgrade(settings: Settings) -> None:
    """Migrate MLflow's tables to the installed version of MLflow. Idempotent."""
    from mlflow.db import commands

    uri = settings.dsn(ROLE, DATABASE, "postgresql+psycopg2")
    # called as a function: as a process, its command line would show the password to all
    commands.main(["upgrade", uri], standalone_mode=False)


def find(
    settings: Settings,
    question: str,
    training_date: date,
    model_version: str | None = None,
    recipe: str | None = None,
) -> TrainedModel | None:
    """The newest model of a training date, or the one with a version or a recipe.

    A challenger is returned only by its version or recipe: it does not score until it is promoted.

    Returns:
        What scoring needs, without report and plots; None if there is no such model.

    Raises:
        RegistryError: If its files are missing or were changed.
    """
    version = newest_version(settings, question, training_date, model_version, recipe)
    if version is None:
        return None
    run_id, stored_version, source = version
    folder = artefacts.location(settings, question, run_id, source)
    try:
        model = artefacts.read(folder)
    except FileNotFoundError as error:
        raise RegistryError(f"{question} {stored_version}: {error} is gone; {REMEDY}") from None
    if model.model_version != stored_version:
        raise RegistryError(
            f"{question} {stored_version}: files in {folder} were changed; {REMEDY}"
        )
    return model


def report_of(
    settings: Settings, question: str, training_date: date, model_version: str
) -> dict[str, Any]:
    """The training report of a stored version, as JSON; empty if it is missing."""
    version = newest_version(settings, question, training_date, model_version)
    if version is None:
        return {}
    run_id, _, source = version
    return artefacts.read_report(artefacts.location(settings, question, run_id, source))


def add(
    settings: Settings, question: str, model: TrainedModel, tags: Mapping[str, str] | None = None
) -> TrainedModel:
    """Store a model with its report, and return it as scoring will read it.

    An equal model is not stored twice. Models of one question are stored one after the other,
    because MLflow fails if two create the same name at once.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        model: The trained model.
        tags: RECIPE and TRAINED_AS, if known.

    Raises:
        RegistryError: If the stored model cannot be read back.
    """
    initialise(settings)
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"store {question}"]
        )
        return _store(settings, question, model, tags or {})


def _store(
    settings: Settings, question: str, model: TrainedModel, tags: Mapping[str, str]
) -> TrainedModel:
    client = mlflow_runs.client_of(settings)
    stored = find(settings, question, model.training_date, model.model_version)
    if stored is not None:
        if RECIPE in tags:  # another recipe that gave the same model
            number = mlflow_runs.version_number(client, question, model.model_version)
            client.set_model_version_tag(question, number, RECIPE, tags[RECIPE])
        return stored
    mlflow_runs.store(client, settings, question, model, tags)
    stored = find(settings, question, model.training_date, model.model_version)
    if stored is None:
        raise RegistryError(f"{question} {model.model_version} was stored and can't be found")
    return stored


def name(settings: Settings, question: str, alias: str, model_version: str) -> None:
    """Point an alias at a version; do nothing if the version does not exist."""
    if named(settings, question, alias) == model_version:
        return  # without importing the client, 3 s
    client = mlflow_runs.client_of(settings)
    number = mlflow_runs.version_number(client, question, model_version)
    if number:
        client.set_registered_model_alias(question, alias, number)


def forget(settings: Settings, question: str, training_date: date) -> int:
    """Delete the models of a training date, so that the next run trains one. Returns the count."""
    client = mlflow_runs.client_of(settings)
    versions = client.search_model_versions(
        f"name = '{question}' and tag.{TRAINING_DATE} = '{training_date}'", max_results=1000
    )
    for version in versions:
        client.delete_model_version(question, str(version.version))
    return len(versions)


@contextmanager
def training_lock(settings: Settings, question: str, training_date: date) -> Iterator[None]:
    """Hold the lock of a question's training date: a second training of it waits for the first."""
    with connect(settings, "scorer", autocommit=True) as connection:
        connection.execute(
            "select pg_advisory_lock(hashtextextended(%s, 0))",
            [f"train {question} {training_date}"],
        )
        yield  # the lock goes with the connection
