"""Compare past scores with what happened, publish the result, and warn if a model got worse.

By hand: `perennial score lookback 2011-09-10`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.lookback import gate_lookback
from ml_tasks import question as questions
from ml_tasks.engine.publish import publish
from ml_tasks.engine.scoring import late_file_ids_of
from ml_tasks.evaluation import customer_groups, trust
from ml_tasks.evaluation.bias import FIGURE, bias_of
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.customer_groups import Group
from ml_tasks.lookback import backtest, happened
from ml_tasks.lookback.happened import Due
from ml_tasks.models import registry
from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.contracts import LOOKBACK
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

log = logging.getLogger(__name__)

Row = dict[str, Any]
UNKNOWN = {
    "count_judged": 0,
    "score_status": "not_scored",
    "score_reason": "nobody was scored for this horizon, or all had the same outcome",
}


def look_back(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Compare all past scores with a horizon that has passed by a date, once each.

    Returns:
        The publication's summary, see `publish`. Its `warnings` name figures beyond the limit of
        the model's own backtest, and groups of customers with a gap.
    """
    rows: list[Row] = []
    with connect(settings, "scorer") as connection:
        late_file_ids = late_file_ids_of(connection, LOOKBACK, as_of_date)
        for one in happened.due(connection, as_of_date, _looked_back_on()):
            log.info("comparing %s of %s after %d days", one.question, one.scored_date,
                     one.horizon_days)  # fmt: skip
            report = registry.report_of(
                settings, one.question, one.training_date, one.model_version
            )
            words = {"judged_model_trust": trust.of_report(report) or None}
            rows += [row | words for row in rows_of(connection, one, backtest_of(report, one))]
    contract = contracts.load(LOOKBACK)
    table = contract.table(LOOKBACK)
    names = [column.name for column in table.question_columns]
    frame = pd.DataFrame(rows, columns=names)
    summary = publish(settings, [{LOOKBACK: frame}], contract, as_of_date, _rules(as_of_date),
                      run_id, late_file_ids)  # fmt: skip
    warnings = gate_lookback(settings, as_of_date, summary["publication_id"], run_id).warnings
    return {**summary, "warnings": [*summary["warnings"], *warnings]}


def _looked_back_on() -> dict[str, Question]:
    names = [name for name in contracts.questions() if contracts.load(name).is_looked_back_on]
    return {name: questions.load(name) for name in names}


def backtest_of(report: Mapping[str, Any], one: Due) -> Mapping[str, list[float]]:
    """Figure -> values on the cuts of the model's own backtest; empty for an untested horizon."""
    question = questions.load(one.question)
    if one.horizon_days != question.tested_days:
        return {}
    evaluation = Evaluation.from_report(report, one.model_name)
    of_cuts = backtest.of_cuts(evaluation)
    if question.bias is None:
        return of_cuts
    return {**of_cuts, FIGURE: list(bias_of(evaluation, question.bias).of_cuts)}


def rows_of(
    connection: psycopg.Connection[Any], one: Due, of_cuts: Mapping[str, list[float]]
) -> list[Row]:
    """Rows of scores.lookback for one past date and horizon.

    Args:
        connection: Role scorer.
        one: The past date and horizon.
        of_cuts: From `backtest_of`.
    """
    question = questions.load(one.question)
    groups = question.compared(connection, one)
    rows = [
        _row(one, figure, part.name) | _compared(figure, value, part, of_cuts)
        for part in groups
        for figure, value in part.values.items()
        if math.isfinite(value)
    ]
    return rows or [_row(one, question.headline, customer_groups.ALL) | UNKNOWN]


def _compared(
    figure: str, value: float, part: Group, of_cuts: Mapping[str, list[float]]
) -> dict[str, Any]:
    error = part.errors.get(figure, math.nan)
    cuts = of_cuts.get(figure, []) if part.name == customer_groups.ALL else []
    expected = backtest.expected(figure, cuts, error)
    return {
        "value": value,
        "standard_error": error,
        "count_judged": part.count,
        "value_of_others": part.gaps.get(figure, math.nan),
        "backtest_value": expected.value,
        "backtest_spread": expected.spread,
        "backtest_limit": expected.limit,
        "is_worse": expected.is_worse(figure, value),
        "score_status": "scored",
    }


def _row(one: Due, figure: str, name: str) -> Row:
    return {
        "question": one.question,
        "scored_date": one.scored_date,
        "horizon_days": one.horizon_days,
        "metric": figure,
        "slice": name,
        "judged_model_name": one.model_name,
        "judged_model_version": one.model_version,
        "is_worse": None,
        "score_reason": None,
    }


def _rules(as_of_date: date) -> TrainedModel:
    """The model that a publication names: nothing is trained, but the bounds are parameters."""
    bounds = {"limit_spreads": backtest.LIMIT_SPREADS, "gap_bounds": customer_groups.GAP_BOUNDS}
    return TrainedModel(LOOKBACK, as_of_date, bounds)
