"""Profile: who each customer is, from SQL alone.

Reads   marts.fct_orders, marts.fct_order_items, marts.fct_refunds, marts.dim_products, ops.shop
Writes  scores.profile                                            a row per as_of_date, customer_id
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_tasks.question import Question

NAME = "profile"
RULES = {"version": "1", "reduced_below": 0.95}


class Profile(Question):
    """Profile: what is known of a customer?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """A line counts as reduced up to this share of the product's usual price."""
        return RULES


QUESTION = Profile()
