"""Campaigns: what did a campaign bring? Contacted beside held out; nothing is trained.

Reads   features.campaign_customers  a row per as_of_date, campaign, customer_id
Writes  scores.campaigns             a row per as_of_date, campaign
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from psycopg import sql

from ml_tasks.evaluation.held_out import LEAST_A_GROUP, compared
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Question
from ml_tasks.trained_model import TrainedModel
from perennial import contracts

NAME = "campaigns"
# Rules are data: whoever changes them gives them another version.
RULES = {"version": "1", "least_a_group": LEAST_A_GROUP}
NOBODY_HELD_OUT = "the campaign held nobody out, so there is nothing to compare with"
TOO_YOUNG = "the 90 days after the first contact have not passed"
TOO_FEW = f"fewer than {LEAST_A_GROUP} customers contacted, or held out, 90 days ago"
NAMES = sql.SQL(
    "select campaign from {table} where as_of_date = %(as_of_date)s and {is_own}"
    ' group by campaign order by campaign collate "C"'
)
# without customers' keys, and a campaign at a time: a large shop fits into memory
CUSTOMERS = sql.SQL(
    "select contacted_date, last_contacted_date, is_held_out, count_orders_365d_before,"
    " net_spend_amount_365d_before, count_orders_90d, net_spend_amount_90d from {table}"
    " where as_of_date = %(as_of_date)s and campaign = %(campaign)s"
    ' order by contacted_date, customer_id collate "C"'
)
TABLE = sql.Identifier("features", "campaign_customers")


class Campaigns(Question):
    """What did a campaign bring?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """How large the smaller group must be."""
        return RULES

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """One row per campaign of the shard."""
        del model
        on_date = {"as_of_date": as_of_date}
        is_own = store.shard.condition(sql.Identifier("campaign"))
        names = store.read(NAMES.format(table=TABLE, is_own=is_own), on_date)["campaign"]
        query = CUSTOMERS.format(table=TABLE)
        rows = [of(name, store.read(query, {**on_date, "campaign": name})) for name in names]
        columns = contracts.load(NAME).table(NAME).question_columns
        return {NAME: pd.DataFrame(rows, columns=[column.name for column in columns])}


QUESTION = Campaigns()


def of(campaign: str, customers: pd.DataFrame) -> dict[str, Any]:
    """One row of scores.campaigns; a figure that is not known is left out.

    Args:
        campaign: Its name.
        customers: Those whom it contacted or held out, one row each; columns of
            features.campaign_customers. Customers whose 90 days have not passed do not count.
    """
    past = customers[customers["count_orders_90d"].notna()]
    figures = compared(
        past["count_orders_90d"].to_numpy(),
        np.log1p(past["count_orders_365d_before"].to_numpy()),  # the tenth order says little
        past["net_spend_amount_90d"].to_numpy(),
        past["net_spend_amount_365d_before"].to_numpy(),
        past["is_held_out"].to_numpy(dtype=bool),
    )
    row = {
        "campaign": campaign,
        "first_contacted_date": customers["contacted_date"].min(),
        "last_contacted_date": customers["last_contacted_date"].max(),
        "verdict": None,
        **figures,
    }
    if row["verdict"] is None:
        return row | {"score_status": "not_scored", "score_reason": _why_not(customers, past)}
    gain = row["spend_difference_amount"] * row["count_contacted"]
    return row | {"total_gain_amount": gain, "score_status": "scored", "score_reason": None}


def _why_not(customers: pd.DataFrame, past: pd.DataFrame) -> str:
    if not customers["is_held_out"].any():
        return NOBODY_HELD_OUT
    return TOO_FEW if len(past) else TOO_YOUNG
