"""Decide between a champion and a challenger: train what is missing, compare, give the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_tasks import question as questions
from ml_tasks.evaluation import contest
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import KEPT, PROMOTED, WAITING, Column
from ml_tasks.models import champions, registry
from ml_tasks.models import recipe as recipes
from ml_tasks.models.champions import REFRESHED, Champion
from ml_tasks.models.serving import train_model
from perennial.contracts import DESCRIBES
from perennial.warehouse import connect

if TYPE_CHECKING:
    from datetime import date

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

NOTHING = "nothing"  # the decision if there was nothing to decide


def challenger_of(
    settings: Settings, question: str, training_date: date, champion: TrainedModel
) -> TrainedModel:
    """The model of today's recipe for a training date; trained if it does not exist yet."""
    previous = champion if questions.load(question).contract.kind == DESCRIBES else None
    recipe = recipes.recipe_of(question)
    with registry.training_lock(settings, question, training_date):
        return registry.find(settings, question, training_date, recipe=recipe) or train_model(
            settings,
            question,
            training_date,
            previous,
            **{registry.TRAINED_AS: registry.CHALLENGER},
        )


def decide(
    settings: Settings,
    question: str,
    training_date: date,
    champion: TrainedModel,
    challenger: TrainedModel,
) -> tuple[str, str, dict[str, Column]]:
    """Decision (of ops.champions, or NOTHING), reason, and role -> compared figures."""
    with connect(settings, "scorer") as connection:
        earlier = champions.decided(connection, question, training_date)
        is_rolled_back = champions.is_rolled_back(connection, question, challenger.model_version)
    if challenger.model_version == champion.model_version:
        return NOTHING, f"{challenger.model_version} is the champion already", {}
    if _is_decided(earlier, challenger):
        return NOTHING, f"{challenger.model_version} was decided about already", {}
    columns = _columns(settings, question, champion, challenger)
    if is_rolled_back:
        return KEPT, f"{challenger.model_version} was rolled back", columns
    if _digest(challenger) == _digest(champion):
        return KEPT, "newer data gave the same model", columns
    if not columns["champion"].figures or not columns["challenger"].figures:
        return *_untested(question, champion, challenger, columns), columns
    return _contest(settings, question, champion, challenger, columns)


def _is_decided(earlier: Champion | None, challenger: TrainedModel) -> bool:
    if earlier is None or earlier.decision == WAITING:
        return False
    return earlier.challenger_version == challenger.model_version


def _contest(
    settings: Settings,
    question: str,
    champion: TrainedModel,
    challenger: TrainedModel,
    columns: dict[str, Column],
) -> tuple[str, str, dict[str, Column]]:
    """Compare the champion's recipe with today's recipe at the champion's training date.

    A description is not refreshed, unless it is recounted: it is replaced only if the new one is
    clearly better.
    """
    if _is_kept(question):
        return *_clearly_better(question, columns), columns
    retrained = _challenger_at(settings, question, champion)
    of_cuts = _columns(settings, question, champion, retrained)
    directions = questions.load(question).contest
    compared = contest.compare(of_cuts["champion"], of_cuts["challenger"], directions)
    if retrained.model_version == champion.model_version or contest.is_equal(compared):
        if challenger.name == champion.name:
            return REFRESHED, "the same recipe, newer data", columns
        reason = f"the same recipe now prefers {challenger.name} to {champion.name}"
        return WAITING, reason, columns
    return *contest.decide(compared), of_cuts


def _is_kept(question: str) -> bool:
    """Whether a model gives way only to one that is clearly better, not to newer data."""
    hooks = questions.load(question)
    return hooks.contract.kind == DESCRIBES and not hooks.is_recounted


def _clearly_better(question: str, columns: dict[str, Column]) -> tuple[str, str]:
    directions = questions.load(question).contest
    compared = contest.compare(columns["champion"], columns["challenger"], directions)
    decision, sentence = contest.decide(compared)
    return (decision, sentence) if decision == PROMOTED else (KEPT, sentence)


def _challenger_at(settings: Settings, question: str, champion: TrainedModel) -> TrainedModel:
    """The model of today's recipe for the champion's training date; may be the champion itself."""
    recipe, training_date = recipes.recipe_of(question), champion.training_date
    own = registry.find(settings, question, training_date, champion.model_version, recipe)
    return own or challenger_of(settings, question, training_date, champion)


def _untested(
    question: str, champion: TrainedModel, challenger: TrainedModel, columns: dict[str, Column]
) -> tuple[str, str]:
    """Decision and reason if at least one of the models was tested on no past date."""
    if columns["challenger"].figures:
        return PROMOTED, f"{challenger.name} beat its baseline, {champion.name} was never tested"
    if columns["champion"].figures:
        return KEPT, f"{challenger.name} could not be tested"
    if _is_kept(question):
        return KEPT, "neither could be tested"
    if challenger.name == champion.name:
        return REFRESHED, "neither could be tested: newer data"
    return WAITING, f"neither {challenger.name} nor {champion.name} could be tested"


def _columns(
    settings: Settings, question: str, champion: TrainedModel, challenger: TrainedModel
) -> dict[str, Column]:
    """Role -> figures of champion, challenger, and the challenger's best baseline."""
    hooks = questions.load(question)
    columns = {}
    for role, model in (("champion", champion), ("challenger", challenger)):
        report = registry.report_of(settings, question, model.training_date, model.model_version)
        evaluation = Evaluation.from_report(report, model.name)
        columns[role] = evaluation.column(evaluation.winner, hooks.contest, model.name)
    metric, better = next(iter(hooks.contest.items()))
    baseline = evaluation.best(hooks.baselines, metric, better)
    if baseline:
        columns["baseline"] = evaluation.column(baseline, hooks.contest)
    return columns


def _digest(model: TrainedModel) -> str:
    return model.model_version.rsplit("-", 1)[1]
