"""What scoring knows of a date: products, rules, links, and what customers bought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ml_tasks.recommendations import contenders, reranker, stored
from ml_tasks.recommendations.candidates import MAX_POPULAR, Candidates
from ml_tasks.recommendations.evaluate import score_of
from ml_tasks.recommendations.popularity import Popularity
from ml_tasks.recommendations.purchases import Pairs
from ml_tasks.recommendations.related import Related
from ml_tasks.recommendations.rules import Rules, why_not_shown
from ml_tasks.trained_model import TrainedModel


@dataclass(frozen=True)
class Today:
    """All that is known of a date but the customers.

    Attributes:
        ids: Ids of the products sold before the date, ascending.
        names: Their names; the id where there is none, shape (n_products,).
        is_named: Whether there is one, shape (n_products,).
        why_not: Why each may not be shown; None if it may, shape (n_products,).
        popular: Popularity.
        links: Weight of a product for another.
        companions: Products that go with a product.
        substitutes: Products that could replace a product.
        score: Score of candidates.
        has_links: Whether the score reads the links; if not, they explain nothing.
    """

    ids: np.ndarray
    names: np.ndarray
    is_named: np.ndarray
    why_not: np.ndarray
    popular: Popularity
    links: sparse.csr_matrix
    companions: Related
    substitutes: Related
    score: Callable[[Candidates], np.ndarray]
    has_links: bool = True

    @property
    def is_shown(self) -> np.ndarray:
        """Whether a product may be shown, shape (n_products,)."""
        return np.array([one is None for one in self.why_not], dtype=bool)

    @property
    def is_popular(self) -> np.ndarray:
        """Whether a product is among the most popular ones that may be shown."""
        order = self.popular.order[self.is_shown[self.popular.order]]
        return np.isin(np.arange(len(self.ids)), order[:MAX_POPULAR])

    @property
    def count_left_out(self) -> int:
        """Products that are sold and that the rules leave out."""
        return int((self.popular.is_sold & ~self.is_shown).sum())


def today(products: pd.DataFrame, model: TrainedModel, rules: Rules) -> Today:
    """What is known of a date.

    Args:
        products: Rows of features.purchase_products, by product_id.
        model: The model that scores; not NO_MODEL.
        rules: What is left out.
    """
    ids = products["product_id"].astype(object).to_numpy()
    place = stored.places(model.artefacts, pd.Index(ids))
    if model.name == contenders.RERANKED:
        score = score_of(model.artefacts[reranker.FILE])
    else:
        score = contenders.PLAIN[model.name]
    return Today(
        ids=ids,
        names=products["product_name"].fillna(products["product_id"]).astype(object).to_numpy(),
        is_named=products["product_name"].notna().to_numpy(),
        why_not=why_not_shown(products, rules).to_numpy(),
        popular=_popularity(products),
        links=stored.links(model.artefacts, place, len(ids)),
        companions=stored.related(model.artefacts, stored.COMPANIONS, place, len(ids)),
        substitutes=stored.related(model.artefacts, stored.SUBSTITUTES, place, len(ids)),
        score=score,
        has_links=model.name not in (contenders.POPULAR, contenders.OWN_AND_POPULAR),
    )


def _popularity(products: pd.DataFrame) -> Popularity:
    return Popularity(
        recent=products["count_customers_28d"].to_numpy(),
        earlier=products["count_customers_28d_before"].to_numpy(),
        quarter=products["count_customers_90d"].to_numpy(),
        season=products["count_customers_season_last_year"].to_numpy(),
        year=products["count_customers_365d"].to_numpy(),
        repeated=products["count_repeat_customers_365d"].to_numpy(),
        age_days=products["days_since_first_sale"].to_numpy(),
        active=int(products["count_active_customers_28d"].max()),
    )


def pairs_of(customers: pd.DataFrame, ids: np.ndarray) -> Pairs:
    """What the customers of the rows bought.

    Args:
        customers: Rows of features.customer_purchases.
        ids: Ids of the products, ascending.
    """
    sizes = customers["product_ids"].map(len).to_numpy(dtype=np.int64)

    def flat(name: str, kind: type) -> np.ndarray:
        values = [one for many in customers[name] for one in many]
        return np.array(values, dtype=kind)

    product = pd.Index(ids).get_indexer(pd.Index(flat("product_ids", object)))
    return Pairs(
        np.concatenate([[0], np.cumsum(sizes)]),
        product,
        flat("counts_orders", np.int64),
        flat("decayed_orders", np.float64),
        flat("days_since_last", np.int64),
        flat("days_since_first", np.int64),
        customers["count_orders"].to_numpy(),
        customers["count_orders_decayed"].to_numpy(),
        len(ids),
    )
