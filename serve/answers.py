"""Answers from the copy of what was published, and their form for the OpenAPI description."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from ml_tasks.recommendations import cart
from serve.published_copy import Copied, PublishedCopy, UnknownError

Rows = list[dict[str, Any]]


class Health(BaseModel):
    """Whether there are answers, and how old they are."""

    as_of_date: date | None = Field(description="Date of the scores; null before the first.")
    refresh_error: str = Field(
        description="Why the answers cannot be brought up to date; empty if they can."
    )


class Customer(BaseModel):
    """What was published of a customer."""

    customer_id: str
    customer_360: dict[str, Any] = Field(description="Row of reporting.customer_360.")
    churn_reasons: Rows = Field(description="Rows of reporting.churn_reasons, by rank.")
    recommendations: Rows = Field(description="Rows of reporting.recommendations, by list.")


class Product(BaseModel):
    """What was published of a product."""

    product_id: str
    product_outlook: dict[str, Any] = Field(description="Row of reporting.product_outlook.")
    companions: dict[str, Any] | None = Field(description="Row of reporting.product_companions.")


class Cart(BaseModel):
    """Products that a visitor has chosen."""

    product_ids: list[str] = Field(
        min_length=1,
        max_length=100,
        description=f"In the order of choice; the last {cart.MAX_CART} count.",
    )
    count: int = Field(10, ge=1, le=20, description="Largest number of products to propose.")


class Completion(BaseModel):
    """What goes with a cart."""

    product_ids: list[str] = Field(description="The best first; empty if nothing goes with it.")


class Answers:
    """Answers from a copy. Each method raises UnknownError if nothing was published of its subject.

    Args:
        copy: The copy; it may be replaced by a newer one at any time.
    """

    def __init__(self, copy: PublishedCopy) -> None:
        self.copy = copy

    def health(self, refresh_error: str) -> Health:
        """The date of the answers, and what kept the last look from refreshing them."""
        row = self.copy.newest.any_row("customer_360")
        return Health(as_of_date=row and row["as_of_date"], refresh_error=refresh_error)

    def customer(self, customer_id: str) -> Customer:
        """A customer's scores, reasons and lists."""
        copied = self.copy.newest
        return Customer(
            customer_id=customer_id,
            customer_360=_row(copied, "customer_360", customer_id),
            churn_reasons=copied.rows("churn_reasons", customer_id),
            recommendations=copied.rows("recommendations", customer_id),
        )

    def product(self, product_id: str) -> Product:
        """A product's sales, demand and companions."""
        copied = self.copy.newest
        companions = copied.rows("product_companions", product_id)
        return Product(
            product_id=product_id,
            product_outlook=_row(copied, "product_outlook", product_id),
            companions=companions[0] if companions else None,
        )

    def completed(self, chosen: Cart) -> Completion:
        """Products that go with a cart. A product without companions is passed over."""
        copied = self.copy.newest
        companions = {
            product_id: list(zip(row["companion_ids"], row["companion_lifts"], strict=True))
            for product_id in chosen.product_ids[-cart.MAX_CART :]
            for row in copied.rows("product_companions", product_id)
            if row["companion_ids"]
        }
        found = cart.completed(chosen.product_ids, companions, chosen.count)
        return Completion(product_ids=found)

    def starting(self, audience_kind: str, audience: str) -> dict[str, Any]:
        """What to show to whoever is new; the list for everybody if the audience has none."""
        copied = self.copy.newest
        rows = copied.rows("starting_products", audience_kind)
        own = [row for row in rows if row["audience"] == audience]
        rows = own or copied.rows("starting_products", "all")
        if not rows:
            raise UnknownError("no starting products were published")
        return rows[0]


def _row(copied: Copied, view: str, entity_id: str) -> dict[str, Any]:
    rows = copied.rows(view, entity_id)
    if not rows:
        raise UnknownError(f"{entity_id!r} is not in reporting.{view}")
    return rows[0]
