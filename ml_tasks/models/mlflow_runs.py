"""A trained model as MLflow's run and version: parameters, figures, files and card."""

from __future__ import annotations

import json
import logging
import os
from datetime import date
from typing import TYPE_CHECKING

from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import ALL
from ml_tasks.models import artefacts
from ml_tasks.models.card import finite_metrics, model_card
from ml_tasks.models.mlflow_tables import DATABASE, MODEL_VERSION, ROLE, TRAINING_DATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.tracking import MlflowClient

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

PARAMETER_MAX_CHARACTERS = 500
METRICS_AT_ONCE = 1_000  # MLflow's limit
NOTE, NOTE_MAX_CHARACTERS, DESCRIPTION_MAX_CHARACTERS = "mlflow.note.content", 5_000, 5_000

# MLflow reads these on import. Without them it reports usage to a remote host and draws bars.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


def client_of(settings: Settings) -> MlflowClient:
    """A client of the home's registry."""
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):  # their import sets the level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = settings.dsn(ROLE, DATABASE, "postgresql+psycopg2")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def version_number(client: MlflowClient, question: str, model_version: str) -> str:
    """MLflow's number of our model_version; empty if there is none."""
    versions = client.search_model_versions(
        f"name = '{question}' and tag.{MODEL_VERSION} = '{model_version}'", max_results=1
    )
    return str(versions[0].version) if versions else ""


def store(
    client: MlflowClient,
    settings: Settings,
    question: str,
    model: TrainedModel,
    tags: Mapping[str, str],
) -> None:
    """Store a model as a new run and a new version.

    Args:
        client: From `client_of`.
        settings: Settings of the home.
        question: Name of the question.
        model: The trained model.
        tags: Further tags of the version.
    """
    own = {TRAINING_DATE: str(model.training_date), MODEL_VERSION: model.model_version}
    all_tags = {**own, **tags}
    run = client.create_run(
        _experiment_id(client, settings, question), run_name=model.model_version, tags=all_tags
    )
    run_id = run.info.run_id
    _log_figures(client, run_id, model)
    # the experiment keeps the path of the home in which it was made
    made_for = f"{run.info.artifact_uri}/model"
    folder = artefacts.location(settings, question, run_id, made_for)
    artefacts.write(folder, question, model, all_tags)
    # with links to pictures that MLflow's UI shows
    card = model_card(
        question, model, all_tags, lambda path: f"get-artifact?path={path}&run_uuid={run_id}"
    )
    client.set_tag(run_id, NOTE, _cut(card, NOTE_MAX_CHARACTERS))
    client.set_terminated(run_id)
    _register(client, question, run_id, all_tags, card)


def _experiment_id(client: MlflowClient, settings: Settings, question: str) -> str:
    experiment = client.get_experiment_by_name(question)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = f"{artefacts.root(settings)}/{question}"
    kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI looks for chats
    return str(client.create_experiment(question, artifact_location=location, tags=kind))


def _log_figures(client: MlflowClient, run_id: str, model: TrainedModel) -> None:
    from mlflow.entities import Metric, Param

    # long lists of coefficients are in trained_model.json; these are parameters to compare
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
    means = [Metric(name, value, 0, 0) for name, value in finite_metrics(model).items()]
    for start in range(0, len(of_cuts), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=of_cuts[start : start + METRICS_AT_ONCE])
    client.log_batch(
        run_id,
        metrics=means,
        params=[Param(name, text) for name, text in {"model": model.name, **parameters}.items()],
    )


def _cut(text: str, longest: int) -> str:
    """The text, cut after a whole line to MLflow's limit; model_card.md has all of it."""
    if len(text) <= longest:
        return text
    more = "\n\nThe rest is in `model_card.md`, under Artifacts.\n"
    return text[: longest - len(more)].rsplit("\n", 1)[0] + more


def _register(
    client: MlflowClient, question: str, run_id: str, tags: Mapping[str, str], card: str
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
