"""Recommendations: which products does a customer buy again, which new ones, and what goes along?

Reads   features.purchase_lines      a row per as_of_date, order_number, product_id (training)
        features.customer_purchases  a row per as_of_date, customer_id
        features.purchase_products   a row per as_of_date, product_id
        features.starting_purchases  a row per as_of_date, audience_kind, audience, product_id
Writes  scores.recommendations       a row per as_of_date, customer_id, list_kind
        scores.product_companions    a row per as_of_date, product_id
        scores.starting_products     a row per as_of_date, audience_kind, audience
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.recommendations import lists, lookback, reranker, rules, shop_lists, stored
from ml_tasks.recommendations.contenders import BASELINES, OWN_AND_LINKS, RERANKED
from ml_tasks.recommendations.evaluate import ACTUAL, PREDICTED, Past, choose_penalty, evaluate
from ml_tasks.recommendations.names import similar
from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.related import related
from ml_tasks.recommendations.state import HORIZON_DAYS
from ml_tasks.recommendations.today import Today, pairs_of, today
from ml_tasks.score_rows import not_scored
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.evaluation.customer_groups import Group
    from ml_tasks.lookback.happened import Due

NAME = "recommendations"
LINES, PURCHASES = "purchase_lines", "customer_purchases"
PRODUCTS, STARTING = "purchase_products", "starting_purchases"
NO_LINES = "no customer has ordered a product"


class Recommendations(Question):
    """Recommendations: which products does a customer buy again, and which new ones?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"ndcg": HIGHER, "new_ndcg": HIGHER}
    baselines = BASELINES
    bias = BiasFigures(PREDICTED, ACTUAL)
    tested_days = HORIZON_DAYS
    headline = "recall"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Choose among the contenders on past days, and fit the best to all that is known."""
        products = store.features(PRODUCTS, training_date)
        frame = store.features(LINES, training_date)
        of_customers = frame[~frame["is_guest"].astype(bool)]
        if of_customers.empty:
            return TrainedModel(
                NO_MODEL, training_date, {"reason": f"{NO_LINES} before {training_date}"}
            )
        return fit(of_customers, frame, products, training_date, seed)

    def score(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """All rows of a date; in training, those of a sample, since drift needs no more."""
        if getattr(store, "for_training", False):
            store = store.sample_for(as_of_date, HORIZON_DAYS)
        return super().score(as_of_date, model, store)

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Two lists of each customer in the store."""
        customers = store.features(PURCHASES, as_of_date)
        if model.name == NO_MODEL:
            ids = customers["customer_id"]
            kinds = [pd.DataFrame({"customer_id": ids, "list_kind": k}) for k in lists.NOTHING]
            table = contracts.load(NAME).table(NAME)
            return {NAME: not_scored(table, pd.concat(kinds), model.parameters["reason"])}
        known = _today(as_of_date, model, store)
        pairs = pairs_of(customers, known.ids)
        return {NAME: lists.rows(customers["customer_id"].to_numpy(dtype=object), pairs, known)}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows; the first with the tables of products and of the shop."""
        beside = _of_the_shop(as_of_date, model, store)
        for part in parts:
            yield {**part, **beside}
            beside = {}

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Past lists against what was ordered."""
        return lookback.compared(connection, due)


QUESTION = Recommendations()


def fit(
    of_customers: pd.DataFrame,
    every: pd.DataFrame,
    products: pd.DataFrame,
    training_date: date,
    seed: int,
) -> TrainedModel:
    """Fit to the lines before a date.

    Args:
        of_customers: Lines of customers: buyer_number, order_number, ordered_date, product_id.
        every: The same with the orders of guests.
        products: Columns product_id, product_name; at least the products of the lines.
        training_date: Nothing of this day or later is in the lines.
        seed: Of samples and fits.
    """
    ids = np.sort(every["product_id"].astype(object).unique())
    names = products.set_index("product_id")["product_name"].reindex(ids).reset_index(drop=True)
    today_number = int(np.datetime64(training_date, "D").astype(int))
    lines = Lines.of(of_customers.rename(columns={"buyer_number": "customer_id"}), ids)
    alike = similar(names)
    past = Past(lines, alike, today_number, seed)
    past.penalty = choose_penalty(past)
    tested = evaluate(past)
    trees = past.trees(0) if tested.winner == RERANKED else None
    winner = OWN_AND_LINKS if tested.winner == RERANKED and trees is None else tested.winner
    state = past.state(0)
    orders = Lines.of(every.rename(columns={"buyer_number": "customer_id"}), ids)
    return TrainedModel(
        winner,
        training_date,
        {"penalty": past.penalty, "rules_version": rules.load().version},
        artefacts={
            **stored.files(ids, state.links, *related(orders, today_number, alike)),
            **({reranker.FILE: trees} if trees else {}),
        },
        metrics=tested.metrics,
        report=tested.as_report(),
    )


def _today(as_of_date: date, model: TrainedModel, store: FeatureStore) -> Today:
    return today(store.features(PRODUCTS, as_of_date), model, rules.load())


def _of_the_shop(as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
    products = store.features(PRODUCTS, as_of_date)
    if model.name == NO_MODEL or products.empty:
        reason = model.parameters.get("reason", NO_LINES)
        all_of = pd.DataFrame({"audience_kind": [shop_lists.ALL], "audience": [shop_lists.ALL]})
        known = products[["product_id"]].reset_index(drop=True)
        return {
            shop_lists.COMPANIONS: shop_lists.nobody(known, reason, shop_lists.COMPANIONS),
            shop_lists.STARTING: shop_lists.nobody(all_of, reason),
        }
    known_today = today(products, model, rules.load())
    audiences = store.features(STARTING, as_of_date)
    return {
        shop_lists.COMPANIONS: shop_lists.companions(known_today),
        shop_lists.STARTING: shop_lists.starting(audiences, known_today, rules.load().version),
    }
