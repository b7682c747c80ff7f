"""Plant which products go together, follow each other, or replace each other.

A line only ever changes to another product of its own family: orders, lines, units, families and
returns stay as they were drawn. Lines of the products that are named here are never changed, but
for a substitute to the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ingest.sample_shop import plan as planted
from ingest.sample_shop.plan import PAIRS, SEQUENCES, START, SUBSTITUTES, Plan
from ingest.sample_shop.products import Catalogue

if TYPE_CHECKING:
    from ingest.sample_shop.orders import Events

PAIR, SEQUENCE, SUBSTITUTE = "pair", "sequence", "substitute"


def truth(catalogue: Catalogue) -> pd.DataFrame:
    """What is planted in a catalogue.

    Returns:
        Columns kind; product_id; other_product_id (the one that it brings, or that replaces it);
        rate (see `plan.Bond`; NaN for substitutes).
    """
    ids = catalogue.products.product_id.to_numpy(dtype=object)
    rows = [
        (kind, ids[product], ids[other], rate) for kind, product, other, rate in _bonds(catalogue)
    ]
    return pd.DataFrame(rows, columns=["kind", "product_id", "other_product_id", "rate"])


def products(
    plan: Plan,
    month: int,
    drawn: tuple[pd.DataFrame, pd.DataFrame],
    before: Events | None,
    customers: pd.DataFrame,
    catalogue: Catalogue,
) -> np.ndarray:
    """The product of each line of a month's orders.

    Args:
        plan: The shop.
        month: Counted from the opening.
        drawn: Heads and lines of the month as of `Events`, without postage.
        before: Sales of the month before; None: no sequence begins in them.
        customers: The truth of all customers.
        catalogue: The products.

    Returns:
        Position in the catalogue, shape (n_lines,).
    """
    random = plan.random("bonds", month)
    heads, lines = drawn
    head, product = lines["head"].to_numpy(), lines["product"].to_numpy(copy=True)
    family = catalogue.products.product_family.to_numpy()
    bonds = _bonds(catalogue)
    is_free = ~np.isin(product, [one for _, *both, _ in bonds for one in both])
    for kind, first, other, rate in bonds:
        draw = random.random((2, len(heads)))
        if kind == SUBSTITUTE:
            is_meant = _is_keen(heads, customers, family[first]) & (
                draw[0] < planted.KEEN_ORDER_RATE
            )
            brought = np.where(draw[1] < 0.5, first, other)
            # of two that replace each other an order has the one that is drawn for it
            either = np.isin(product, [first, other])
            product[either] = brought[head[either]]
        else:
            begun = _holds(len(heads), lines, first)
            if kind == SEQUENCE:
                begun = _order_before(heads, begun, before, first)
            is_meant, brought = begun & (draw[0] < rate), np.full(len(heads), other)
        is_meant &= ~_holds(len(heads), lines.assign(product=product), brought[head])
        line = _one_a_head(head, is_free & is_meant[head] & (family[product] == family[other]))
        product[line] = brought[head[line]]
        is_free[line] = False
    return product


def _bonds(catalogue: Catalogue) -> list[tuple[str, int, int, float]]:
    """Kind, position of the product and of the other one, rate; those that the catalogue has."""
    named = [
        (kind, _wanted(catalogue, bond.noun)[:1] + _wanted(catalogue, bond.other_noun)[:1], bond)
        for kind, bonds in ((PAIR, PAIRS), (SEQUENCE, SEQUENCES))
        for bond in bonds
    ]
    found = [(kind, *both, bond.rate) for kind, both, bond in named if len(both) == 2]
    alike = [_wanted(catalogue, noun)[:2] for noun in SUBSTITUTES]
    return found + [(SUBSTITUTE, *both, np.nan) for both in alike if len(both) == 2]


def _wanted(catalogue: Catalogue, noun: str) -> list[int]:
    """Positions of the noun's products that are always sold, those in most demand first."""
    known = catalogue.products
    is_named = known.product_name.str.contains(f" {noun} No. ", regex=False)
    is_always = (known.introduced_date == np.datetime64(START)) & known.discontinued_date.isna()
    chosen = known[is_named & is_always]
    return [int(one) for one in chosen.sort_values("base_weight", ascending=False).index]


def _holds(count_heads: int, lines: pd.DataFrame, product: int | np.ndarray) -> np.ndarray:
    """Whether an order has a product, or the product given for one of its lines."""
    held = lines["head"].to_numpy()[lines["product"].to_numpy() == product]
    return np.bincount(held, minlength=count_heads) > 0


def _order_before(
    heads: pd.DataFrame, begun: np.ndarray, before: Events | None, product: int
) -> np.ndarray:
    """Whether the customer's order before has the product; False for guests and first orders."""
    both = heads[["time", "customer"]].assign(begun=begun)
    if before is not None:
        earlier = before.heads[["time", "customer"]]
        held = _holds(len(earlier), before.lines, product)
        both = pd.concat([earlier.assign(begun=held), both], ignore_index=True)
    is_known = (both.customer >= 0).to_numpy()
    previous = both.groupby("customer")["begun"].shift(fill_value=False)
    return (previous & is_known).to_numpy(dtype=bool)[len(both) - len(heads) :]


def _is_keen(heads: pd.DataFrame, customers: pd.DataFrame, family: str) -> np.ndarray:
    is_keen = (customers.is_keen & (customers.family == family)).to_numpy()
    who = heads.customer.to_numpy()
    return is_keen[who] & (who >= 0)


def _one_a_head(head: np.ndarray, is_possible: np.ndarray) -> np.ndarray:
    """Position of the first possible line of each order that has one."""
    position = np.flatnonzero(is_possible)
    return position[np.unique(head[position], return_index=True)[1]]
