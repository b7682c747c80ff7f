"""How past predictions of stages turned out, once 90 days have passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from psycopg import sql

from ml_tasks.evaluation.bias import FIGURE, bias_of_rate
from ml_tasks.features.store import FeatureStore
from ml_tasks.lookback import happened
from ml_tasks.stages import figures as of_stages
from ml_tasks.stages.baselines import numbers
from ml_tasks.stages.rules import STAGES

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due


def customers(connection: psycopg.Connection[Any], due: Due) -> pd.DataFrame:
    """Scored customers with `stage_after`, their stage at the end of the horizon.

    Args:
        connection: Role scorer.
        due: The past date and horizon.

    Returns:
        Columns of `happened.customers`, and stage_after.
    """
    query = sql.SQL(
        "select customer_id, stage as stage_after from intermediate.int_customer_stages"
        " where from_date <= %(known_on_date)s"
        " and (until_date is null or until_date > %(known_on_date)s)"
        ' order by customer_id collate "C"'
    )
    stages = FeatureStore(connection).read(sql.Composed([query]), happened.params(due))
    return happened.customers(connection, due).merge(stages, on="customer_id")


def figures(rows: pd.DataFrame) -> dict[str, float]:
    """Figures of `stages.figures`, and the bias of the chance of being at risk or lost.

    Args:
        rows: Columns stage_after and the six probabilities.
    """
    probability = rows[[f"{stage}_probability_90d" for stage in STAGES]].to_numpy(dtype=float)
    found = of_stages.figures(numbers(rows["stage_after"]), probability)
    if not found:
        return found
    bias = bias_of_rate(found["mean_slipping_probability"], found["slipping_rate"])
    return {**found, FIGURE: bias}
