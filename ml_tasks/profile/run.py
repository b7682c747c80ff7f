"""Profile: who each customer is, from SQL alone.

Reads   marts.fct_orders, marts.fct_order_items, marts.fct_refunds, marts.dim_products, ops.shop
Writes  scores.profile                                            a row per as_of_date, customer_id
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from psycopg import sql

from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel

NAME = "profile"
QUERY = Path(__file__).with_name("profile.sql")
RULES = {"version": "1", "reduced_below": 0.95}


class Profile(Question):
    """Profile: what is known of a customer?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """A line counts as reduced up to this share of the product's usual price."""
        return RULES

    def query(self, table: str, as_of_date: date, model: TrainedModel) -> sql.Composed:
        """The whole table of a date."""
        del table
        return sql.SQL(QUERY.read_text()).format(
            as_of_date=sql.Literal(as_of_date),
            reduced_below=sql.Literal(model.parameters["reduced_below"]),
        )


QUESTION = Profile()
