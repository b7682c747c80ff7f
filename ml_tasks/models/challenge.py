"""Train a challenger and let it contend with the champion.

By hand: `perennial train churn 2011-09-01`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml_tasks import question as questions
from ml_tasks.evaluation import contest
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import KEPT, PROMOTED, WAITING, Column
from ml_tasks.models import champions, registry
from ml_tasks.models import recipe as recipes
from ml_tasks.models.champions import REFRESHED, RULE, Champion, ChampionError
from ml_tasks.models.serving import champion_of, name_champion, train_model
from ml_tasks.trained_model import training_date_of
from perennial import contracts, offers
from perennial.contracts import DESCRIBES, WEEK
from perennial.text import markdown
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

log = logging.getLogger(__name__)

NOTHING = "nothing"  # a contest's outcome if there was nothing to decide


def contend(
    settings: Settings, question: str, training_date: date | None = None, why: str = ""
) -> dict[str, Any]:
    """Train a challenger, compare it with the champion, and record what follows.

    Args:
        settings: Where the warehouse and the registry are.
        question: Whose models.
        training_date: The challenger sees what was known by then; None: the newest that there is
            something new to learn for.
        why: Of a training by hand; kept with the decision.

    Returns:
        JSON-able: question, training_date, champion, challenger, decision (of ops.champions, or
        `nothing`), reason, and subject and body for the person to ask.
    """
    with connect(settings, "scorer") as connection:
        why_not = offers.why_not(connection).get(question)
    if why_not:
        return _nothing_to_train(question, f"not offered at this shop: {why_not}")
    training_date = training_date or newest_training_date(settings, question)
    champion = champion_of(settings, question, training_date)
    challenger = _challenger(settings, question, training_date, champion)
    registry.name(settings, question, registry.CHALLENGER, challenger.model_version)
    decision, reason, columns = _judge(settings, question, training_date, champion, challenger)
    judged_by = questions.load(question).contest
    if why:
        reason = f"{reason}. Asked for: {why}"
    if decision != NOTHING:
        wins = decision in (PROMOTED, REFRESHED)
        _record(
            settings,
            Champion(
                question=question,
                training_date=training_date,
                model_version=(challenger if wins else champion).model_version,
                model_training_date=(challenger if wins else champion).training_date,
                previous_version=champion.model_version,
                challenger_version=challenger.model_version,
                decision=decision,
                reason=reason,
                figures=contest.as_rows(columns, judged_by),
            ),
        )
    log.info("%s %s: %s, %s", question, training_date, decision, reason)
    table = contest.as_markdown(columns, judged_by) if columns else ""
    return {
        "question": question,
        "training_date": str(training_date),
        "champion": champion.model_version,
        "challenger": challenger.model_version,
        "decision": decision,
        "reason": reason,
        "meanwhile": f"Meanwhile {champion.model_version} serves; no answer in time keeps it.",
        "subject": f"{question}: use {challenger.model_version} from {training_date} on?",
        "body": f"{markdown(reason)}.\n\n{table}\n\n"
        "*Approve* promotes the challenger; *Reject*, or no answer in time, keeps "
        f"`{champion.model_version}`, which serves meanwhile.",
    }


def _nothing_to_train(question: str, reason: str) -> dict[str, Any]:
    """The outcome of a contest that could not be held."""
    log.info("%s: %s", question, reason)
    outcome = {"question": question, "decision": NOTHING, "reason": reason}
    return outcome | dict.fromkeys(("meanwhile", "subject", "body"), "")


def answered(
    settings: Settings, outcome: Mapping[str, Any], answer: Mapping[str, Any]
) -> dict[str, Any]:
    """Record what a person said about a contest that waited, or that nobody said anything.

    Args:
        settings: Where the warehouse is.
        outcome: Of `contend`.
        answer: `is_approved`, `who` (empty: nobody answered in time), `why`; empty: nobody
            was asked, because the figures were clear.

    Returns:
        The outcome, brought up to date.
    """
    if not answer:
        return dict(outcome)
    who, why, is_approved = answer["who"], answer["why"], answer["is_approved"]
    question, training_date = outcome["question"], date.fromisoformat(outcome["training_date"])
    with connect(settings, "scorer") as connection:
        waiting = champions.decided(connection, question, training_date)
    if waiting is None or waiting.challenger_version != outcome["challenger"]:
        raise ChampionError(f"{question} {training_date}: no such contest waits")
    if waiting.decision != WAITING:  # a retry: it is recorded already
        return {**outcome, "decision": waiting.decision, "reason": waiting.reason}
    said = f"{'approved' if is_approved else 'rejected'} by {who}" if who else "nobody answered"
    decision = replace(
        waiting,
        decision=PROMOTED if is_approved else KEPT,
        reason=": ".join(part for part in (said, why) if part) + f" ({waiting.reason})",
        decided_by=who or RULE,
    )
    if is_approved:
        version = outcome["challenger"]
        decision = replace(decision, model_version=version, model_training_date=_date_of(version))
    _record(settings, decision)
    return {**outcome, "decision": decision.decision, "reason": decision.reason}


def newest_training_date(settings: Settings, question: str) -> date:
    """The newest date that a model can be trained for and that adds to what is known.

    Customers are seen on the firsts of months, products each Monday.

    Raises:
        ChampionError: If nothing was scored yet.
    """
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select max(as_of_date) from ops.publications where question = %s", [question]
        ).fetchone()
    newest: date | None = row[0] if row else None
    if newest is None:
        raise ChampionError(f"{question} was never scored: `make run` first")
    if contracts.load(question).trained_each == WEEK:
        return newest - timedelta(days=newest.weekday())
    return training_date_of(newest)


def _challenger(
    settings: Settings, question: str, training_date: date, champion: TrainedModel
) -> TrainedModel:
    """The model that today's recipe makes of what was known on a date; trained once."""
    previous = champion if contracts.load(question).kind == DESCRIBES else None
    recipe = recipes.recipe_of(question)
    with registry.training_lock(settings, question, training_date):
        return registry.find(settings, question, training_date, recipe=recipe) or train_model(
            settings,
            question,
            training_date,
            previous,
            **{registry.TRAINED_AS: registry.CHALLENGER},
        )


def _judge(
    settings: Settings,
    question: str,
    training_date: date,
    champion: TrainedModel,
    challenger: TrainedModel,
) -> tuple[str, str, dict[str, Column]]:
    """Decision, reason, and the columns that it rests on."""
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
        return KEPT, "newer data taught nothing new: the same model", columns
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
    """Compare the recipes: today's, at the champion's training date, with the champion's own.

    A description is not refreshed: it is replaced only where it is clearly better.
    """
    if contracts.load(question).kind == DESCRIBES:
        return *_clearly_better(question, columns), columns
    again = _challenger_at(settings, question, champion)
    of_cuts = _columns(settings, question, champion, again)
    judged_by = questions.load(question).contest
    compared = contest.compare(of_cuts["champion"], of_cuts["challenger"], judged_by)
    if again.model_version == champion.model_version or contest.is_equal(compared):
        if challenger.name == champion.name:
            return REFRESHED, "the same recipe, newer data", columns
        reason = f"the same recipe now prefers {challenger.name} to {champion.name}"
        return WAITING, reason, columns
    return *contest.decide(compared), of_cuts


def _clearly_better(question: str, columns: dict[str, Column]) -> tuple[str, str]:
    judged_by = questions.load(question).contest
    compared = contest.compare(columns["champion"], columns["challenger"], judged_by)
    decision, sentence = contest.decide(compared)
    return (decision, sentence) if decision == PROMOTED else (KEPT, sentence)


def _challenger_at(settings: Settings, question: str, champion: TrainedModel) -> TrainedModel:
    """What today's recipe makes of what the champion knew; the champion itself, if it is its."""
    recipe, training_date = recipes.recipe_of(question), champion.training_date
    own = registry.find(settings, question, training_date, champion.model_version, recipe)
    return own or _challenger(settings, question, training_date, champion)


def _untested(
    question: str, champion: TrainedModel, challenger: TrainedModel, columns: dict[str, Column]
) -> tuple[str, str]:
    """Of two models one of which no past date could test."""
    if columns["challenger"].figures:
        return PROMOTED, f"{challenger.name} beat its baseline, {champion.name} was never tested"
    if columns["champion"].figures:
        return KEPT, f"{challenger.name} could not be tested"
    if contracts.load(question).kind == DESCRIBES:
        return KEPT, "neither could be tested"
    if challenger.name == champion.name:
        return REFRESHED, "neither could be tested: newer data"
    return WAITING, f"neither {challenger.name} nor {champion.name} could be tested"


def _columns(
    settings: Settings, question: str, champion: TrainedModel, challenger: TrainedModel
) -> dict[str, Column]:
    asked = questions.load(question)
    columns = {}
    for role, model in (("champion", champion), ("challenger", challenger)):
        report = registry.report_of(settings, question, model.training_date, model.model_version)
        evaluation = Evaluation.from_report(report, model.name)
        columns[role] = evaluation.column(evaluation.winner, asked.contest, model.name)
    metric, better = next(iter(asked.contest.items()))
    baseline = evaluation.best(asked.baselines, metric, better)
    if baseline:
        columns["baseline"] = evaluation.column(baseline, asked.contest)
    return columns


def _record(settings: Settings, decision: Champion) -> None:
    with connect(settings, "scorer") as connection:
        champions.record(connection, decision)
    name_champion(settings, decision.question)


def _digest(model: TrainedModel) -> str:
    return model.model_version.rsplit("-", 1)[1]


def _date_of(model_version: str) -> date:
    return date.fromisoformat(model_version.rsplit("-", 1)[0])
