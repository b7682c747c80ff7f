"""The models that contend, from the plainest on: a score for each candidate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml_tasks.recommendations.candidates import Candidates

RERANKED = "reranked"
POPULAR, OWN_AND_POPULAR, OWN_AND_LINKS = "popular", "own_and_popular", "own_and_links"
LINKS, NEIGHBOURS = "links", "neighbours"
SHARE = 0.3  # of popularity, or of the link, beside the customer's own orders
TIES = 1e-4


def popular(some: Candidates) -> np.ndarray:
    """Share of the customers of 28 days who bought it; ties by 90 days."""
    return some.column("recent") + TIES * some.column("quarter") / 1000


def own_and_popular(some: Candidates) -> np.ndarray:
    """The customer's decayed orders with it, as a share of all, plus SHARE of popularity."""
    return np.nan_to_num(some.column("share_of_orders")) + SHARE * popular(some)


def links(some: Candidates) -> np.ndarray:
    """Sum of the weights of what the customer bought; without any, popularity."""
    return some.column("link") + TIES * popular(some)


def own_and_links(some: Candidates) -> np.ndarray:
    """As `own_and_popular`, with the sum of the links in place of popularity."""
    return np.nan_to_num(some.column("share_of_orders")) + SHARE * links(some)


# The order is that of complexity: of equally good models the first is published.
PLAIN: dict[str, Callable[[Candidates], np.ndarray]] = {
    POPULAR: popular,
    OWN_AND_POPULAR: own_and_popular,
    LINKS: links,
    OWN_AND_LINKS: own_and_links,
}
BASELINES = (*PLAIN, NEIGHBOURS)
