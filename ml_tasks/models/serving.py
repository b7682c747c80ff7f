"""The model that scores a date: the champion in force, or a first one trained now."""

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
from perennial import contracts, offers
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perennial.settings import Settings

log = logging.getLogger(__name__)

SEED = 7


def ensure_model(settings: Settings, question: str, as_of_date: date) -> dict[str, Any]:
    """Train the model that scores a date, unless there is one.

    Returns:
        JSON-able: question, training_date, model_name, model_version, metrics; of a question that
        is not offered at this shop question, as_of_date and `not_offered`, which says why.
    """
    with connect(settings, "scorer") as connection:
        if why_not := offers.why_not(connection).get(question):
            return {"question": question, "as_of_date": str(as_of_date), "not_offered": why_not}
    model = model_of(settings, question, as_of_date)
    name_champion(settings, question)  # a run that was killed may have recorded and not named it
    return {
        "question": question,
        "training_date": str(model.training_date),
        "model_name": model.name,
        "model_version": model.model_version,
        "metrics": model.metrics,
    }


def model_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The model that the date was published with, else the champion in force, else a new one.

    A version that was rolled back since is not used again. Of a question that has rules: the rules.
    """
    if not contracts.load(question).is_trained:
        return questions.load(question).ruled(as_of_date)
    published = _published(settings, question, as_of_date)
    model = _readable(question, published and registry.find(settings, question, *published))
    model = model or champion_of(settings, question, as_of_date)
    log.info("%s %s is scored by %s %s", question, as_of_date, model.name, model.model_version)
    return model


def champion_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The champion for a date, trained if there is none.

    With the schedule off the calendar decides: the date's own training date, and what was decided
    between it and the date. So dates may be scored in any order. With the schedule on days come in
    order, and the newest decision holds until the next one.
    """
    training_date = training_date_of(as_of_date)
    since = training_date if settings.schedule == "off" else None

    def find() -> TrainedModel | None:
        with connect(settings, "scorer") as connection:
            champion = champions.in_force(connection, question, as_of_date, since)
        if champion is None:
            return None
        found = registry.find(
            settings, question, champion.model_training_date, champion.model_version
        )
        return _readable(question, found)

    model = find()
    if model is None:
        with registry.training_lock(settings, question, training_date):
            model = find()  # another run may have trained it meanwhile
            if model is None:
                model = _first_model(settings, question, training_date)
    return model


def _readable(question: str, model: TrainedModel | None) -> TrainedModel | None:
    """The model, unless it was stored in a form that the question's code no longer reads."""
    return model if model is None or questions.load(question).reads(model) else None


def report_of(settings: Settings, question: str, model: TrainedModel) -> Mapping[str, Any]:
    """The training report of a stored model; empty where nothing is trained."""
    if not contracts.load(question).is_trained:
        return {}
    return registry.report_of(settings, question, model.training_date, model.model_version)


def train_model(
    settings: Settings,
    question: str,
    training_date: date,
    previous: TrainedModel | None = None,
    **tags: str,
) -> TrainedModel:
    """Train, store, and read back: the first run and every later one then do the same.

    Args:
        settings: Where the warehouse and the registry are.
        question: What is trained.
        training_date: The model sees what was known by then.
        previous: The model whose names of parts a question that describes goes on with.
        tags: Stored beside the model.
    """
    log.info("training %s for %s", question, training_date)
    with connect(settings, "scorer") as connection:
        store, asked = FeatureStore(connection, for_training=True), questions.load(question)
        trained = asked.train(training_date, store, SEED)
        trained = asked.matched(trained, previous) if previous else trained
        trained = replace(trained, data=list(store.reads))
        trained = watch.with_reference(trained, asked, store)
    report = bias.with_warnings(trained.report, trained.name, asked.bias)
    words = trust.in_words(report, trained.name, asked.contest, asked.baselines, asked.bias)
    trained = replace(trained, report={**report, trust.TRUST: words})
    tags[registry.RECIPE] = recipes.recipe_of(question)
    return registry.add(settings, question, trained, tags)


def _first_model(settings: Settings, question: str, training_date: date) -> TrainedModel:
    """The model of a training date at which nobody has to be beaten; recorded as champion."""
    # one stored before champions were recorded, or whose record was cut short
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
    """Take the newest champion out of use, see `champions.roll_back`, and move the alias."""
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
    """Training date and version that the date was published with, unless it was rolled back."""
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select training_date, model_version from ops.publications"
            " where question = %s and as_of_date = %s",
            [question, as_of_date],
        ).fetchone()
        if row and champions.is_rolled_back(connection, question, row[1]):
            return None
    return row
