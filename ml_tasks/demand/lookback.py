"""Accuracy of past demand forecasts, once their weeks are over."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from psycopg import sql

from ml_tasks.demand import accuracy as demand
from ml_tasks.demand.panel import Panel
from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.bias import FIGURE
from ml_tasks.evaluation.customer_groups import Group, standard_errors
from ml_tasks.evaluation.figures import ALL
from ml_tasks.features.store import FeatureStore
from ml_tasks.lookback.happened import params, score_table

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due

MEAN = "demand_units_mean"
QUANTILES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")


def products(connection: psycopg.Connection[Any], one: Due) -> pd.DataFrame:
    """Read forecast weeks of products beside the units sold in them.

    Args:
        connection: Connection to the warehouse.
        one: The publication to compare.

    Returns:
        A row per product_id and horizon_weeks, in that order, with week_start_date, QUANTILES,
        MEAN and happened_units (units sold; 0 without a sale).
    """
    query = sql.SQL(
        "select scores.product_id, scores.week_start_date, scores.horizon_weeks,"
        " scores.demand_units_p10, scores.demand_units_p50, scores.demand_units_p90,"
        " scores.demand_units_mean,"
        " coalesce(demand.sold_units, 0) as happened_units"
        " from {scores} as scores"
        " left join marts.fct_demand_weekly as demand"
        " on scores.product_id = demand.product_id"
        " and scores.week_start_date = demand.week_start_date"
        " and demand.week_start_date < %(known_on_date)s"
        " where scores.as_of_date = %(scored_date)s"
        " and scores.publication_id = %(publication_id)s and scores.score_status = 'scored'"
        ' order by scores.product_id collate "C", scores.horizon_weeks'
    ).format(scores=score_table(one.question))
    return FeatureStore(connection).read(query, params(one))


def of_products(rows: pd.DataFrame, past: Panel) -> list[Group]:
    """WRMSSE, MASE, bias and coverage of the evaluated products (`accuracy.evaluated_products`).

    The bias is that of expected units, which are meant to be added up; WRMSSE and MASE are those
    of medians.

    Args:
        rows: As of `products`.
        past: Sales before the scored date.

    Returns:
        A group `all`, then `week: 1` and so on, by week ahead; empty without evaluated products.
    """
    is_chosen, revenue = demand.evaluated_products(past)
    ids = past.product_ids[is_chosen]
    table = rows[rows["product_id"].isin(ids)].pivot(
        index="product_id", columns="horizon_weeks", values=[*QUANTILES, MEAN, "happened_units"]
    )
    if table.empty:
        return []
    place = np.searchsorted(ids, table.index.to_numpy(dtype=str))
    history, weight = past.units[is_chosen][place], revenue[place]
    forecast = np.stack([table[name].to_numpy(dtype=float) for name in QUANTILES], axis=-1)
    expected = table[MEAN].fillna(table[QUANTILES[1]]).to_numpy(dtype=float)
    actual = table["happened_units"].to_numpy(dtype=float)

    def figures(product: pd.DataFrame, week: slice) -> dict[str, float]:
        row = product["row"].to_numpy()
        return {
            **demand.accuracy(forecast[row, week, 1], actual[row, week], history[row], weight[row]),
            FIGURE: metrics.total_error(actual[row, week], expected[row, week]),
            "coverage_p10_p90": demand.coverage(forecast[row, week], actual[row, week]),
        }

    products = pd.DataFrame({"row": np.arange(len(table))})
    weeks = {ALL: slice(None)}
    weeks |= {f"week: {number + 1}": slice(number, number + 1) for number in range(len(actual[0]))}
    return [
        Group(
            name,
            len(products),
            figures(products, week),
            standard_errors(products, partial(figures, week=week)),
        )
        for name, week in weeks.items()
    ]
