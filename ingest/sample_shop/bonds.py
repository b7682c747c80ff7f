"""Plant which products go together, follow each other, or replace each other.

A line only ever changes to another product of its own family: orders, lines, units, families and
returns stay as they were drawn. Lines of the products that belong together stay, too; only one of
two substitutes may become the other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ingest.sample_shop.events import Events
from ingest.sample_shop.plan import SEQUENCE, SUBSTITUTE, Plan
from ingest.sample_shop.products import Catalogue


def truth(catalogue: Catalogue) -> pd.DataFrame:
    """What is planted: columns kind, product_id, other_product_id, rate; see `plan.Bond`."""
    ids = catalogue.products.product_id.to_numpy(dtype=object)
    rows = [
        (bond.kind, ids[first], ids[other], bond.rate) for bond, first, other in catalogue.bonds
    ]
    return pd.DataFrame(rows, columns=["kind", "product_id", "other_product_id", "rate"])


def products(
    plan: Plan,
    month: int,
    drawn: Events,
    before: Events | None,
    customers: pd.DataFrame,
    catalogue: Catalogue,
) -> np.ndarray:
    """The product of each line of a month's orders.

    Args:
        plan: The shop.
        month: Counted from the opening.
        drawn: The month's orders as drawn, without postage.
        before: Sales of the month before; None: no sequence begins in them.
        customers: The truth of all customers.
        catalogue: The products.

    Returns:
        Position in the catalogue, shape (n_lines,).
    """
    random = plan.random("bonds", month)
    head, product = drawn.lines["head"].to_numpy(), drawn.lines["product"].to_numpy(copy=True)
    count, family = len(drawn.heads), catalogue.products.product_family.to_numpy()
    codes = pd.factorize(family)[0]
    code = codes[product]  # a line's family stays
    named = [one for _, *both in catalogue.bonds for one in both]
    is_free = ~np.isin(product, named)
    for bond, first, other in catalogue.bonds:
        is_drawn, takes_other = random.random(count) < bond.rate, random.random(count) < 0.5
        brought = np.full(count, other)
        if bond.kind == SUBSTITUTE:
            brought = np.where(takes_other, other, first)
            product = np.where(np.isin(product, [first, other]), brought[head], product)
            is_meant = _is_keen(drawn, customers, family[first])
        elif bond.kind == SEQUENCE:
            is_meant = _order_before_has(first, drawn, before)
        else:
            is_meant = _has(head, product == first, count)
        is_meant &= is_drawn & ~_has(head, product == brought[head], count)
        position = np.flatnonzero(is_free & is_meant[head] & (code == codes[other]))
        changed = position[np.unique(head[position], return_index=True)[1]]  # one an order
        product[changed] = brought[head[changed]]
        is_free[changed] = False
    return product


def _has(head: np.ndarray, is_line: np.ndarray, count: int) -> np.ndarray:
    """Whether an order has any of some lines, shape (n_orders,)."""
    return np.bincount(head[is_line], minlength=count) > 0


def _is_keen(drawn: Events, customers: pd.DataFrame, family: str) -> np.ndarray:
    """Whether an order is of a customer who is keen on the substitutes of a family."""
    who = drawn.heads.customer.to_numpy()
    is_known = who >= 0
    is_keen = np.zeros(len(who), dtype=bool)
    is_keen[is_known] = customers.is_keen.to_numpy()[who[is_known]]
    is_keen[is_keen] = customers.family.to_numpy()[who[is_keen]] == family
    return is_keen


def _order_before_has(product: int, drawn: Events, before: Events | None) -> np.ndarray:
    """Whether the customer's order before has a product; False for guests and first orders."""
    months = [drawn] if before is None else [before, drawn]
    who = np.concatenate([one.heads.customer.to_numpy() for one in months])
    has = [
        _has(
            one.lines["head"].to_numpy(), one.lines["product"].to_numpy() == product, len(one.heads)
        )
        for one in months
    ]
    order = np.argsort(who, kind="stable")  # the orders of a customer in order of time
    is_next = (who[order][1:] == who[order][:-1]) & (who[order][1:] >= 0)
    found = np.zeros(len(who), dtype=bool)
    found[order[1:]] = np.concatenate(has)[order[:-1]] & is_next
    return found[len(who) - len(drawn.heads) :]
