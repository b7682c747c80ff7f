"""Commands for one question by hand, without Airflow, on a home that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from command.app import Panel, command
from command.options import Question, check_question, published, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

BY_HAND = "by hand"  # stands for a run's id


@command(Panel.MODELS, "score")
def score(
    question: Annotated[str, typer.Argument(show_default=False, autocompletion=published)],
    as_of_date: Annotated[str, typer.Argument(help="As 2011-09-10.", show_default=False)],
) -> None:
    """Score a date, or with `lookback` compare what was scored before with what happened."""
    _prepare()
    from perennial import contracts
    from perennial.days import read_day

    check_question(question, published())
    day = read_day(as_of_date, "AS_OF")
    if question == contracts.LOOKBACK:
        from ml_tasks.lookback.run import look_back

        _print(look_back(settings_of(), day, run_id=BY_HAND))
        return
    from ml_tasks.engine.scoring import score_question

    _print(score_question(settings_of(), question, day, run_id=BY_HAND))


@command(Panel.MODELS, "train")
def train(
    question: Question,
    training_date: Annotated[
        str, typer.Argument(help="As 2011-09-01; by default the newest.", show_default=False)
    ] = "",
) -> None:
    """Train a challenger and let it contend with the champion."""
    _prepare()
    from ml_tasks.models.challenge import contend
    from perennial.days import read_day

    check_question(question)
    day = read_day(training_date, "AS_OF") if training_date else None
    _print(contend(settings_of(), question, day, why=BY_HAND))


@command(Panel.MODELS, "rollback")
def rollback(
    question: Question,
    why: Annotated[str, typer.Argument(help="Is kept with the decision.", show_default=False)],
) -> None:
    """Take a question's newest model out of use; the one before it scores on."""
    check_question(question)
    from ml_tasks.models.serving import roll_back

    decision = roll_back(settings_of(), question, why)
    print(
        f"{decision.question}: {decision.previous_version} is out of use; from "
        f"{decision.training_date} on {decision.model_version} scores.\n"
        "Published scores stay; to make a date again: make run AS_OF=<date> AGAIN=yes"
    )


def _prepare() -> None:
    """Compute on one thread, as a task does, and log what a task logs."""
    import logging
    import os

    from perennial import threads

    for name, count in threads.ONE_EACH.items():
        os.environ.setdefault(name, count)
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")


def _print(result: Mapping[str, Any]) -> None:
    import json

    print(json.dumps(result, indent=1, default=str))
