"""Products: how each product sells, at which price, to whom, and how often it comes back.

Reads   marts.fct_order_items, marts.fct_refunds, marts.dim_products
Writes  scores.products                                            a row per as_of_date, product_id
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from psycopg import sql

from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel

NAME = "products"
QUERY = Path(__file__).with_name("products.sql")
RULES = {"version": "1", "new_for_days": 28, "quiet_after_days": 91}


class Products(Question):
    """Products: how does a product sell?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """Days from the first sale that a product is new, and from the last until it is quiet."""
        return RULES

    def query(self, table: str, as_of_date: date, model: TrainedModel) -> sql.Composed:
        """The whole table of a date."""
        del table
        return sql.SQL(QUERY.read_text()).format(
            as_of_date=sql.Literal(as_of_date),
            new_for_days=sql.Literal(model.parameters["new_for_days"]),
            quiet_after_days=sql.Literal(model.parameters["quiet_after_days"]),
        )


QUESTION = Products()
