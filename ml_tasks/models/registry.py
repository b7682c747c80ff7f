"""The model registry: MLflow on the same Postgres, artefacts as files in the home or at a URL.

One experiment and one registered model a question; one run and one version a trained model. A
version's tags say which training date it is for, the aliases `champion` and `challenger` which are
the newest of each; ops.champions says since when.
Nothing in it is a pickle: JSON, PNG, Markdown, and the files that the question made.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import ALL
from ml_tasks.models import artefacts
from ml_tasks.models.card import judged_metrics, model_card
from ml_tasks.trained_model import TrainedModel
from perennial.settings import Settings
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.tracking import MlflowClient

DATABASE = ROLE = "mlflow"
CHAMPION, CHALLENGER = "champion", "challenger"
TRAINING_DATE, MODEL_VERSION = "training_date", "model_version"
# How a version came to be: its code and lock (see `models.recipe`), and as what it was trained.
RECIPE, TRAINED_AS = "recipe", "trained_as"
PARAMETER_MAX_CHARACTERS = 500
METRICS_AT_ONCE = 1_000  # the most that MLflow takes
NOTE, NOTE_MAX_CHARACTERS, DESCRIPTION_MAX_CHARACTERS = "mlflow.note.content", 5_000, 5_000
REMEDY = "restore them, or call ml_tasks.models.registry.forget to have it trained again"

# MLflow reads these when it is imported: it would report usage to a remote host, and draw bars.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


class RegistryError(Exception):
    """A stored model is not what was stored; the message names it and the remedy."""


def initialise(settings: Settings) -> None:
    """Make MLflow's tables where there are none yet. Safe to run again, and side by side."""
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('mlflow tables'))")
        if not _has_tables(connection):
            _client(settings).search_registered_models(max_results=1)


def upgrade(settings: Settings) -> None:
    """Bring MLflow's tables to what its installed version expects; nothing to do if they are."""
    from mlflow.db import commands

    uri = settings.dsn(ROLE, DATABASE, "postgresql+psycopg2")
    # its command line, called here: as a process of its own it would show the password to all
    commands.main(["upgrade", uri], standalone_mode=False)


def find(
    settings: Settings,
    question: str,
    training_date: date,
    model_version: str | None = None,
    recipe: str | None = None,
) -> TrainedModel | None:
    """The model of a training date: the newest, or the one of a version, or of a recipe.

    A challenger is found by its version or recipe only: it serves nobody until it is promoted.

    Returns:
        None if there is none. What scoring needs; report and plots stay in the registry.

    Raises:
        RegistryError: If its files are gone or were changed since.
    """
    version = _newest_version(settings, question, training_date, model_version, recipe)
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
    """The whole evaluation of a stored version, as JSON; empty if it is not there."""
    version = _newest_version(settings, question, training_date, model_version)
    if version is None:
        return {}
    run_id, _, source = version
    return artefacts.read_report(artefacts.location(settings, question, run_id, source))


def add(
    settings: Settings, question: str, model: TrainedModel, tags: Mapping[str, str] | None = None
) -> TrainedModel:
    """Store a model with its report, and return it as scoring will read it.

    A model that is there already, file for file, is not stored twice. Models of one question are
    stored one after the other: MLflow fails the second of two that make the same name at once.

    Args:
        settings: Where the registry is.
        question: Whose model.
        model: As it was trained.
        tags: RECIPE and TRAINED_AS, as far as they are known.
    """
    initialise(settings)
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"store {question}"]
        )
        return _store(settings, question, model, tags or {})


def name(settings: Settings, question: str, alias: str, model_version: str) -> None:
    """Point an alias at a version; nothing if it is there, or if the version is not."""
    if _named(settings, question, alias) == model_version:
        return  # without the client's 3 s of imports
    client = _client(settings)
    number = _number(client, question, model_version)
    if number:
        client.set_registered_model_alias(question, alias, number)


def forget(settings: Settings, question: str, training_date: date) -> int:
    """Drop the models of a training date, so that the next run trains it again; says how many."""
    client = _client(settings)
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


def _store(
    settings: Settings, question: str, model: TrainedModel, tags: Mapping[str, str]
) -> TrainedModel:
    client = _client(settings)
    stored = find(settings, question, model.training_date, model.model_version)
    if stored is not None:
        if RECIPE in tags:  # other code that came to the same model
            number = _number(client, question, model.model_version)
            client.set_model_version_tag(question, number, RECIPE, tags[RECIPE])
        return stored
    own = {TRAINING_DATE: str(model.training_date), MODEL_VERSION: model.model_version}
    all_tags = {**own, **tags}
    run = client.create_run(
        _experiment_id(client, settings, question), run_name=model.model_version, tags=all_tags
    )
    run_id = run.info.run_id
    _log_figures(client, run_id, model)
    artefacts.write(run.info.artifact_uri, question, model, all_tags)
    # as the UI shows it, pictures and all
    card = model_card(
        question, model, all_tags, lambda path: f"get-artifact?path={path}&run_uuid={run_id}"
    )
    client.set_tag(run_id, NOTE, _cut(card, NOTE_MAX_CHARACTERS))
    client.set_terminated(run_id)
    _register(client, question, model, run_id, all_tags, card)
    found = find(settings, question, model.training_date, model.model_version)
    if found is None:
        raise RegistryError(f"{question} {model.model_version} was stored and can't be found")
    return found


def _number(client: MlflowClient, question: str, model_version: str) -> str:
    """MLflow's number of a version; empty if it has none."""
    found = client.search_model_versions(
        f"name = '{question}' and tag.{MODEL_VERSION} = '{model_version}'", max_results=1
    )
    return str(found[0].version) if found else ""


def _client(settings: Settings) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # importing it sets its level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = settings.dsn(ROLE, DATABASE, "postgresql+psycopg2")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _newest_version(
    settings: Settings,
    question: str,
    training_date: date,
    model_version: str | None,
    recipe: str | None = None,
) -> tuple[str, str, str] | None:
    """Of the newest version for a training date: MLflow's run_id, our model_version, its source.

    Asks MLflow's tables: its client takes 3 s of imports, and each scoring task asks this.
    """
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        if not _has_tables(connection):
            return None
        return connection.execute(
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
            " order by version desc limit 1",
            {
                "question": question,
                "training_date": str(training_date),
                "model_version": model_version,
                "recipe": recipe,
                "challenger": CHALLENGER,
            },
        ).fetchone()


def _named(settings: Settings, question: str, alias: str) -> str:
    """The version of ours that an alias points at; empty: none."""
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        if not _has_tables(connection):
            return ""
        row = connection.execute(
            "select value from registered_model_aliases"
            " join model_version_tags using (workspace, name, version)"
            " where name = %s and alias = %s and key = %s",
            [question, alias, MODEL_VERSION],
        ).fetchone()
    return row[0] if row else ""


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select to_regclass('public.model_version_tags')").fetchone()
    return row is not None and row[0] is not None


def _experiment_id(client: MlflowClient, settings: Settings, question: str) -> str:
    experiment = client.get_experiment_by_name(question)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = f"{artefacts.root(settings)}/{question}"
    kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI looks for chats
    return str(client.create_experiment(question, artifact_location=location, tags=kind))


def _log_figures(client: MlflowClient, run_id: str, model: TrainedModel) -> None:
    from mlflow.entities import Metric, Param

    # coefficients by the thousand are in trained_model.json; here is what people compare
    parameters = {
        name: text
        for name, value in model.parameters.items()
        if len(text := json.dumps(value)) <= PARAMETER_MAX_CHARACTERS
    }
    of_cuts = [
        Metric(
            f"cut/{row.metric}/{row.model}", row.value, 0, date.fromisoformat(row.cut).toordinal()
        )
        for row in Evaluation.from_report(model.report, model.name).figures
        if row.group == ALL and row.value is not None
    ]
    means = [Metric(name, value, 0, 0) for name, value in judged_metrics(model).items()]
    for start in range(0, len(of_cuts), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=of_cuts[start : start + METRICS_AT_ONCE])
    client.log_batch(
        run_id,
        metrics=means,
        params=[Param(name, text) for name, text in {"model": model.name, **parameters}.items()],
    )


def _cut(text: str, longest: int) -> str:
    """A text of whole lines, no longer than MLflow can hold; the whole is in model_card.md."""
    if len(text) <= longest:
        return text
    more = "\n\nThe rest is in `model_card.md`, under Artifacts.\n"
    return text[: longest - len(more)].rsplit("\n", 1)[0] + more


def _register(
    client: MlflowClient,
    question: str,
    model: TrainedModel,
    run_id: str,
    tags: Mapping[str, str],
    card: str,
) -> None:
    if not client.search_registered_models(f"name = '{question}'"):
        client.create_registered_model(question)
    client.create_model_version(
        question,
        source=f"{client.get_run(run_id).info.artifact_uri}/model",
        run_id=run_id,
        tags=dict(tags),
        description=_cut(card, DESCRIPTION_MAX_CHARACTERS),
    )
