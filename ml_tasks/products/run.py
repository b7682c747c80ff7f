"""Products: how each product sells, at which price, to whom, and how often it comes back.

Reads   marts.fct_order_items, marts.fct_refunds, marts.dim_products
Writes  scores.products                                            a row per as_of_date, product_id
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_tasks.question import Question

NAME = "products"
RULES = {"version": "1", "new_for_days": 28, "quiet_after_days": 91}


class Products(Question):
    """Products: how does a product sell?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """Days from the first sale that a product is new, and from the last until it is quiet."""
        return RULES


QUESTION = Products()
