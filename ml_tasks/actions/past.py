"""Past turns of customers, and what happened in the 90 days that followed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from psycopg import sql

from ml_tasks.evaluation.held_out import NORMAL_95

if TYPE_CHECKING:
    import pandas as pd

    from ml_tasks.features.store import FeatureStore

YEAR_DAYS = 365
QUERY = sql.SQL(
    "with turns as ("
    " select distinct on (actions.customer_id, actions.action)"
    "  actions.customer_id, actions.action, actions.as_of_date,"
    "  actions.assignment = 'held_out' as is_held_out,"
    "  actions.order_probability_90d as order_probability,"
    "  actions.expected_spend_amount_90d as expected_spend_amount"
    " from scores.actions as actions"
    " inner join ops.publications as publications"
    "  on publications.question = 'actions'"
    "  and publications.as_of_date = actions.as_of_date"
    "  and publications.publication_id = actions.publication_id"
    " where actions.assignment in ('contact', 'held_out')"
    "  and actions.as_of_date > %(oldest)s and actions.as_of_date <= %(newest)s"
    " order by actions.customer_id, actions.action, actions.as_of_date)"
    " select turns.*, coalesce(sum(days.count_orders), 0)::integer as happened_orders,"
    "  greatest(coalesce(sum(days.net_amount), 0), 0)::double precision as happened_spend_amount"
    " from turns left join intermediate.int_customer_days as days"
    "  on days.customer_id = turns.customer_id"
    "  and days.day_date >= turns.as_of_date and days.day_date < turns.as_of_date + %(days)s"
    " group by turns.customer_id, turns.action, turns.as_of_date, turns.is_held_out,"
    "  turns.order_probability, turns.expected_spend_amount"
    ' order by turns.as_of_date, turns.customer_id collate "C", turns.action'
)

NEWEST_EFFECTS = sql.SQL(
    "select effects.action, effects.count_contacted, effects.count_held_out,"
    " effects.order_rate_held_out, effects.order_rate_difference,"
    " (effects.order_rate_difference_upper - effects.order_rate_difference_lower)"
    "  / (2 * %(normal)s) as order_rate_error"
    " from scores.action_effects as effects"
    " inner join ops.publications as publications"
    "  on publications.question = 'actions'"
    "  and publications.as_of_date = effects.as_of_date"
    "  and publications.publication_id = effects.publication_id"
    " where effects.as_of_date = ("
    "  select max(earlier.as_of_date) from ops.publications as earlier"
    "  where earlier.question = 'actions' and earlier.as_of_date < %(as_of_date)s)"
    ' order by effects.action collate "C"'
)


def newest_effects(store: FeatureStore, as_of_date: date) -> pd.DataFrame:
    """The effects that the newest earlier date published; no rows for the first date.

    Returns:
        The columns of `effects.measured` that `effects.updated` reads.
    """
    bounds = {"as_of_date": as_of_date, "normal": NORMAL_95}
    return store.read(sql.Composed([NEWEST_EFFECTS]), bounds)


def turns(store: FeatureStore, as_of_date: date, newest: date) -> pd.DataFrame:
    """The first turn of each customer and action in the last year whose horizon has passed.

    Args:
        store: Role scorer; all shards are read.
        as_of_date: Nothing of this day or later is known.
        newest: The newest date whose horizon has passed.

    Returns:
        customer_id, action, as_of_date, is_held_out, order_probability, expected_spend_amount,
        happened_orders, happened_spend_amount; by as_of_date, customer_id.
    """
    days = (as_of_date - newest).days
    oldest = newest - timedelta(days=YEAR_DAYS)
    bounds = {"oldest": oldest, "newest": newest, "days": days}
    return store.read(sql.Composed([QUERY]), bounds)
