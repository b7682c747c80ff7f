"""Train a challenger, compare it with the champion, and record the decision.

By hand: `perennial train churn 2011-09-01`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml_tasks import question as questions
from ml_tasks.evaluation import contest
from ml_tasks.evaluation.contest import KEPT, PROMOTED, WAITING, Column
from ml_tasks.models import champions, registry
from ml_tasks.models.champions import REFRESHED, RULE, Champion, ChampionError
from ml_tasks.models.decision import NOTHING, challenger_of, decide
from ml_tasks.models.serving import champion_of, name_champion
from ml_tasks.trained_model import training_date_of
from perennial import offers
from perennial.contracts import WEEK
from perennial.text import markdown
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_tasks.trained_model import TrainedModel
    from perennial.settings import Settings

log = logging.getLogger(__name__)


def contend(
    settings: Settings, question: str, training_date: date | None = None, why: str = ""
) -> dict[str, Any]:
    """Train a challenger, compare it with the champion, and record the decision.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        training_date: The challenger is trained on what was known by this date; None: the newest
            date with something new to learn.
        why: Reason of a training by hand; stored with the decision.

    Returns:
        JSON-able: question, training_date, champion, challenger, decision (of ops.champions, or
        `nothing`), reason, and meanwhile, subject and body of the request for approval.
    """
    with connect(settings, "scorer") as connection:
        why_not = offers.why_not(connection).get(question)
    if why_not:
        return _nothing_to_train(question, f"not offered at this shop: {why_not}")
    training_date = training_date or newest_training_date(settings, question)
    champion = champion_of(settings, question, training_date)
    challenger = challenger_of(settings, question, training_date, champion)
    registry.name(settings, question, registry.CHALLENGER, challenger.model_version)
    decision, reason, columns = decide(settings, question, training_date, champion, challenger)
    if why:
        reason = f"{reason}. Asked for: {why}"
    if decision != NOTHING:
        named = (question, training_date, decision, reason)
        _record(settings, _row(*named, champion, challenger, columns))
    log.info("%s %s: %s, %s", question, training_date, decision, reason)
    versions = {"champion": champion.model_version, "challenger": challenger.model_version}
    outcome = {"question": question, "training_date": str(training_date), **versions}
    outcome |= {"decision": decision, "reason": reason}
    return outcome | _request(outcome, columns)


def _row(
    question: str,
    training_date: date,
    decision: str,
    reason: str,
    champion: TrainedModel,
    challenger: TrainedModel,
    columns: dict[str, Column],
) -> Champion:
    """The decision as a row of ops.champions."""
    winner = challenger if decision in (PROMOTED, REFRESHED) else champion
    return Champion(
        question=question,
        training_date=training_date,
        model_version=winner.model_version,
        model_training_date=winner.training_date,
        previous_version=champion.model_version,
        challenger_version=challenger.model_version,
        decision=decision,
        reason=reason,
        figures=contest.as_rows(columns, questions.load(question).contest),
    )


def _request(outcome: Mapping[str, Any], columns: dict[str, Column]) -> dict[str, str]:
    """Texts of the request for approval."""
    question, champion = outcome["question"], outcome["champion"]
    directions = questions.load(question).contest
    table = contest.as_markdown(columns, directions) if columns else ""
    return {
        "meanwhile": f"Meanwhile {champion} serves; no answer in time keeps it.",
        "subject": f"{question}: use {outcome['challenger']} from {outcome['training_date']} on?",
        "body": f"{markdown(outcome['reason'])}.\n\n{table}\n\n"
        "*Approve* promotes the challenger; *Reject*, or no answer in time, keeps "
        f"`{champion}`, which serves meanwhile.",
    }


def _nothing_to_train(question: str, reason: str) -> dict[str, Any]:
    """The outcome for a question that is not trained at this shop."""
    log.info("%s: %s", question, reason)
    outcome = {"question": question, "decision": NOTHING, "reason": reason}
    return outcome | dict.fromkeys(("meanwhile", "subject", "body"), "")


def answered(
    settings: Settings, outcome: Mapping[str, Any], answer: Mapping[str, Any]
) -> dict[str, Any]:
    """Record a person's answer to a waiting contest, or that there was none in time.

    Args:
        settings: Settings of the home.
        outcome: From `contend`.
        answer: `is_approved`, `who` (empty: no answer in time), `why`. An empty mapping if no
            approval was requested, because the figures were clear.

    Returns:
        The outcome with its present decision and reason.

    Raises:
        ChampionError: If no such contest is waiting.
    """
    if not answer:
        return dict(outcome)
    who, why, is_approved = answer["who"], answer["why"], answer["is_approved"]
    question, training_date = outcome["question"], date.fromisoformat(outcome["training_date"])
    with connect(settings, "scorer") as connection:
        waiting = champions.decided(connection, question, training_date)
    if waiting is None or waiting.challenger_version != outcome["challenger"]:
        raise ChampionError(f"{question} {training_date}: no such contest waits")
    if waiting.decision != WAITING:  # a retry: the answer is recorded already
        return {**outcome, "decision": waiting.decision, "reason": waiting.reason}
    verb = f"{'approved' if is_approved else 'rejected'} by {who}" if who else "nobody answered"
    decision = replace(
        waiting,
        decision=PROMOTED if is_approved else KEPT,
        reason=": ".join(part for part in (verb, why) if part) + f" ({waiting.reason})",
        decided_by=who or RULE,
    )
    if is_approved:
        version = outcome["challenger"]
        decision = replace(decision, model_version=version, model_training_date=_date_of(version))
    _record(settings, decision)
    return {**outcome, "decision": decision.decision, "reason": decision.reason}


def newest_training_date(settings: Settings, question: str) -> date:
    """The newest training date with something new to learn.

    Snapshots of customers are added on the first of each month, weeks of products each Monday.

    Raises:
        ChampionError: If the question was never scored.
    """
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select max(as_of_date) from ops.publications where question = %s", [question]
        ).fetchone()
    newest: date | None = row[0] if row else None
    if newest is None:
        raise ChampionError(f"{question} was never scored: `make run` first")
    if questions.load(question).contract.trained_each == WEEK:
        return newest - timedelta(days=newest.weekday())
    return training_date_of(newest)


def _record(settings: Settings, decision: Champion) -> None:
    with connect(settings, "scorer") as connection:
        champions.record(connection, decision)
    name_champion(settings, decision.question)


def _date_of(model_version: str) -> date:
    return date.fromisoformat(model_version.rsplit("-", 1)[0])
