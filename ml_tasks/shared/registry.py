"""The model registry: MLflow on the same Postgres, artefacts as files in the home.

One experiment and one registered model a question; one run and one version a trained model. A
version's tags say which training date it is for, the alias `champion` which one is the newest.
Nothing in it is a pickle: JSON, PNG, Markdown, and the files that the question made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from ml_tasks.shared.card import judged_metrics, model_card, report_json
from ml_tasks.shared.model import TrainedModel, canonical_json
from perennial.settings import Settings
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking import MlflowClient

DATABASE = ROLE = "mlflow"
CHAMPION = "champion"
TRAINING_DATE, MODEL_VERSION = "training_date", "model_version"
PARAMETER_MAX_CHARACTERS = 500
REMEDY = "restore them, or call ml_tasks.shared.registry.forget to have it trained again"
DESCRIPTION_FILE = "trained_model.json"  # what the files in model/ belong to

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


def find(
    settings: Settings, question: str, training_date: date, model_version: str | None = None
) -> TrainedModel | None:
    """The model of a training date: the newest, or the one of that model_version.

    Returns:
        None if there is none. What scoring needs; report and plots stay in the registry.

    Raises:
        RegistryError: If its files are gone or were changed since.
    """
    version = _newest_version(settings, question, training_date, model_version)
    if version is None:
        return None
    run_id, stored_version = version
    folder = settings.home / "mlflow" / question / run_id / "artifacts"
    try:
        model = _read_files(folder)
    except FileNotFoundError as error:
        raise RegistryError(
            f"{question} {stored_version}: {error.filename} is gone; {REMEDY}"
        ) from None
    if model.model_version != stored_version:
        raise RegistryError(
            f"{question} {stored_version}: files in {folder} were changed; {REMEDY}"
        )
    return model


def add(settings: Settings, question: str, model: TrainedModel) -> TrainedModel:
    """Store a model with its report, and return it as scoring will read it.

    A model that is there already, file for file, is not stored twice.
    """
    initialise(settings)
    stored = find(settings, question, model.training_date, model.model_version)
    if stored is not None:
        return stored
    client = _client(settings)
    run = client.create_run(
        _experiment_id(client, settings, question),
        run_name=model.model_version,
        tags={TRAINING_DATE: str(model.training_date), MODEL_VERSION: model.model_version},
    )
    run_id = run.info.run_id
    _log_figures(client, run_id, model)
    with tempfile.TemporaryDirectory() as folder:
        _write_files(Path(folder), question, model)
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id)
    _register(client, question, model, run_id)
    found = find(settings, question, model.training_date, model.model_version)
    if found is None:
        raise RegistryError(f"{question} {model.model_version} was stored and can't be found")
    return found


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


def _client(settings: Settings) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # importing it sets its level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = settings.dsn(ROLE, DATABASE, "postgresql+psycopg2")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _newest_version(
    settings: Settings, question: str, training_date: date, model_version: str | None
) -> tuple[str, str] | None:
    """MLflow's run_id and our model_version of the newest version for a training date.

    Asks MLflow's tables: its client takes 3 s of imports, and each scoring task asks this.
    """
    with psycopg.connect(settings.dsn(ROLE, DATABASE)) as connection:
        if not _has_tables(connection):
            return None
        return connection.execute(
            "select model_versions.run_id, ours.value"
            " from model_versions"
            " join model_version_tags as dates using (workspace, name, version)"
            " join model_version_tags as ours using (workspace, name, version)"
            " where name = %(question)s and current_stage <> 'Deleted_Internal'"
            " and dates.key = %(training_date_tag)s and dates.value = %(training_date)s"
            " and ours.key = %(model_version_tag)s"
            " and ours.value = coalesce(%(model_version)s::text, ours.value)"
            " order by version desc limit 1",
            {
                "question": question,
                "training_date_tag": TRAINING_DATE,
                "training_date": str(training_date),
                "model_version_tag": MODEL_VERSION,
                "model_version": model_version,
            },
        ).fetchone()


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select to_regclass('public.model_version_tags')").fetchone()
    return row is not None and row[0] is not None


def _experiment_id(client: MlflowClient, settings: Settings, question: str) -> str:
    experiment = client.get_experiment_by_name(question)
    if experiment is not None:
        return str(experiment.experiment_id)
    folder = settings.home.resolve() / "mlflow" / question
    return str(client.create_experiment(question, artifact_location=folder.as_uri()))


def _log_figures(client: MlflowClient, run_id: str, model: TrainedModel) -> None:
    from mlflow.entities import Metric, Param

    # coefficients by the thousand are in trained_model.json; here is what people compare
    parameters = {
        name: text
        for name, value in model.parameters.items()
        if len(text := json.dumps(value)) <= PARAMETER_MAX_CHARACTERS
    }
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, 0, 0) for name, value in judged_metrics(model).items()],
        params=[Param(name, text) for name, text in {"model": model.name, **parameters}.items()],
    )


def _write_files(folder: Path, question: str, model: TrainedModel) -> None:
    (folder / "model").mkdir()
    for name, content in model.artefacts.items():
        (folder / "model" / name).write_bytes(content)
    stored = {
        "name": model.name,
        "training_date": str(model.training_date),
        "model_version": model.model_version,
        "parameters": model.parameters,
        "metrics": judged_metrics(model),
        "artefacts": {
            name: hashlib.sha256(content).hexdigest() for name, content in model.artefacts.items()
        },
    }
    (folder / DESCRIPTION_FILE).write_text(canonical_json(stored))
    (folder / "plots").mkdir()
    for name, content in model.plots.items():
        (folder / "plots" / name).write_bytes(content)
    (folder / "report.json").write_text(report_json(model))
    (folder / "model_card.md").write_text(model_card(question, model))


def _read_files(folder: Path) -> TrainedModel:
    stored = json.loads((folder / DESCRIPTION_FILE).read_text())
    return TrainedModel(
        name=stored["name"],
        training_date=date.fromisoformat(stored["training_date"]),
        parameters=stored["parameters"],
        artefacts={name: (folder / "model" / name).read_bytes() for name in stored["artefacts"]},
        metrics=stored["metrics"],
    )


def _register(client: MlflowClient, question: str, model: TrainedModel, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    if not client.search_registered_models(f"name = '{question}'"):
        try:
            client.create_registered_model(question)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another training date was faster
                raise
    version = client.create_model_version(
        question,
        source=f"{client.get_run(run_id).info.artifact_uri}/model",
        run_id=run_id,
        tags={TRAINING_DATE: str(model.training_date), MODEL_VERSION: model.model_version},
        description=model_card(question, model).split("## Report")[0],
    )
    aliases = client.get_registered_model(question).aliases
    newest = (
        client.get_model_version_by_alias(question, CHAMPION).tags[TRAINING_DATE]
        if CHAMPION in aliases
        else ""
    )
    # a backfill trains for the past: the champion stays the one of the newest training date
    if str(model.training_date) >= newest:
        client.set_registered_model_alias(question, CHAMPION, version.version)
