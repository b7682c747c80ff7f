"""The model that scores a date: the valid champion, or a first one that is trained now."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ml_tasks import question as questions
from ml_tasks.drift import watch
from ml_tasks.evaluation import bias, trust
from ml_tasks.features.store import FeatureStore
from ml_tasks.models import champions, registry
from ml_tasks.models import recipe as recipes
from ml_tasks.trained_model import TrainedModel, training_date_of
from perennial import offers
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perennial.settings import Settings

log = logging.getLogger(__name__)

SEED = 7


def ensure_model(settings: Settings, question: str, as_of_date: date) -> dict[str, Any]:
    """Train the model that scores a date, unless it exists.

    Returns:
        JSON-able: question, training_date, model_name, model_version, metrics. If the question is
        not offered at this shop: question, as_of_date, and `not_offered` with the reason.
    """
    with connect(settings, "scorer") as connection:
        if why_not := offers.why_not(connection).get(question):
            return {"question": question, "as_of_date": str(as_of_date), "not_offered": why_not}
    model = model_of(settings, question, as_of_date)
    name_champion(settings, question)  # a killed run may have recorded the champion only
    return {
        "question": question,
        "training_date": str(model.training_date),
        "model_name": model.name,
        "model_version": model.model_version,
        "metrics": model.metrics,
    }


def model_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The model that the date was published with, else the valid champion, else a new model.

    A version that was rolled back is not used again. For a question with rules: the rules.
    """
    if not questions.load(question).contract.is_trained:
        return questions.load(question).ruled(as_of_date)
    published = _published(settings, question, as_of_date)
    model = _readable(question, published and registry.find(settings, question, *published))
    model = model or champion_of(settings, question, as_of_date)
    log.info("%s %s is scored by %s %s", question, as_of_date, model.name, model.model_version)
    return model


def champion_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The champion for a date; trained if there is none.

    With the schedule off, only decisions between the date's own training date and the date count,
    so dates may be scored in any order. With the schedule on, dates come in order, and the newest
    decision is valid until the next one.
    """
    training_date = training_date_of(as_of_date)
    since = training_date if settings.schedule == "off" else None

    def find() -> TrainedModel | None:
        with connect(settings, "scorer") as connection:
            champion = champions.in_force(connection, question, as_of_date, since)
        if champion is None:
            return None
        stored = registry.find(
            settings, question, champion.model_training_date, champion.model_version
        )
        return _readable(question, stored)

    model = find()
    if model is None:
        with registry.training_lock(settings, question, training_date):
            model = find()  # another run may have trained it meanwhile
            if model is None:
                model = _first_model(settings, question, training_date)
    return model


def _readable(question: str, model: TrainedModel | None) -> TrainedModel | None:
    """The model, or None if the question's code can no longer read its stored form."""
    return model if model is None or questions.load(question).reads(model) else None


def report_of(settings: Settings, question: str, model: TrainedModel) -> Mapping[str, Any]:
    """The training report of a stored model; empty for a question that is not trained."""
    if not questions.load(question).contract.is_trained:
        return {}
    return registry.report_of(settings, question, model.training_date, model.model_version)


def train_model(
    settings: Settings,
    question: str,
    training_date: date,
    previous: TrainedModel | None = None,
    **tags: str,
) -> TrainedModel:
    """Train a model, store it, and read it back, so that the first run scores like later ones.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        training_date: The model is trained on what was known by this date.
        previous: The previous model of a question that describes; its names of parts are kept.
        tags: Tags of the stored version.
    """
    log.info("training %s for %s", question, training_date)
    with connect(settings, "scorer") as connection:
        store, hooks = FeatureStore(connection, for_training=True), questions.load(question)
        trained = hooks.train(training_date, store, SEED)
        trained = hooks.matched(trained, previous) if previous else trained
        trained = replace(trained, data=list(store.reads))
        trained = watch.with_reference(trained, hooks, store)
    report = bias.with_warnings(trained.report, trained.name, hooks.bias)
    words = trust.in_words(report, trained.name, hooks.contest, hooks.baselines, hooks.bias)
    trained = replace(trained, report={**report, trust.TRUST: words})
    tags[registry.RECIPE] = recipes.recipe_of(question)
    return registry.add(settings, question, trained, tags)


def _first_model(settings: Settings, question: str, training_date: date) -> TrainedModel:
    """Record a training date's first model as champion, without a contest; train it if needed."""
    # a model may be stored without a record: by an earlier version, or by a run that was killed
    model = _readable(question, registry.find(settings, question, training_date))
    model = model or train_model(settings, question, training_date)
    with connect(settings, "scorer") as connection:
        champions.record(
            connection,
            champions.Champion(
                question=question,
                training_date=training_date,
                model_version=model.model_version,
                model_training_date=model.training_date,
                decision=champions.TRAINED,
                reason=f"no champion for dates from {training_date} on",
            ),
        )
    name_champion(settings, question)
    return model


def roll_back(settings: Settings, question: str, why: str) -> champions.Champion:
    """Roll the newest champion back, see `champions.roll_back`, and move the alias."""
    decision = champions.roll_back(settings, question, why)
    name_champion(settings, question)
    return decision


def name_champion(settings: Settings, question: str) -> None:
    """Point the registry's alias at the champion of the newest training date."""
    with connect(settings, "scorer") as connection:
        newest = champions.in_force(connection, question, date.max)
    if newest:
        registry.name(settings, question, registry.CHAMPION, newest.model_version)


def _published(settings: Settings, question: str, as_of_date: date) -> tuple[date, str] | None:
    """Training date and version that a date was published with; None if that was rolled back."""
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select training_date, model_version from ops.publications"
            " where question = %s and as_of_date = %s",
            [question, as_of_date],
        ).fetchone()
        if row and champions.is_rolled_back(connection, question, row[1]):
            return None
    return row
