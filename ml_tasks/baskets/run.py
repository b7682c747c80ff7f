"""Baskets: what goes with what, in one order or from one order to the next?

Reads   features.basket_lines     a row per as_of_date, order_number, product_id (training)
        features.basket_products  a row per as_of_date, product_id
Writes  scores.baskets            a row per as_of_date, rule_id
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from ml_tasks.baskets import variants
from ml_tasks.baskets.evaluate import BASELINES, LEARNT_DAYS, MODEL, TESTED_DAYS, evaluate, within
from ml_tasks.baskets.model import as_json, folded, learn
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

NAME, LINES, PRODUCTS = "baskets", "basket_lines", "basket_products"
NO_RULES = "no products go together more often than by chance in the orders of a year"


class Baskets(Question):
    """Baskets: which products are ordered together, and which follow each other?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"replicated": HIGHER}
    baselines = BASELINES
    tested_days = TESTED_DAYS
    headline = "replicated"
    features: ClassVar[str] = PRODUCTS
    is_recounted: ClassVar[bool] = True

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Find the rules of the year before, and test those of half a year ago on what followed."""
        del seed  # nothing is drawn
        products = store.features(PRODUCTS, training_date)
        lines, members = folded(store.features(LINES, training_date), products)
        rules = learn(within(lines, pd.Timestamp(training_date), LEARNT_DAYS))
        if rules.empty:
            return TrainedModel(NO_MODEL, training_date, {"reason": NO_RULES})
        evaluation = evaluate(lines, training_date)
        shown = {*rules["consequent_id"], *rules["antecedent_ids"].explode()}
        return TrainedModel(
            MODEL,
            training_date,
            {
                "rules": as_json(rules),
                "variants": {item: ids for item, ids in members.items() if item in shown},
                "variant_words": str(variants.rules()["version"]),
            },
            metrics={**evaluation.metrics, "count_rules": float(len(rules))},
            report=evaluation.as_report(),
        )

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """The model's rules with names, and whether their products are still sold."""
        if model.name == NO_MODEL:
            none = pd.DataFrame({"rule_id": ["none"]})
            reason = model.parameters["reason"]
            return {NAME: not_scored(contracts.load(NAME).table(NAME), none, reason)}
        rules = pd.DataFrame(model.parameters["rules"])
        products = store.features(PRODUCTS, as_of_date)
        return {NAME: scored(as_of(rules, products, model.parameters["variants"]))}


QUESTION = Baskets()


def as_of(
    rules: pd.DataFrame, products: pd.DataFrame, members: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Rules as of a date: names, number of products, and whether all are still sold.

    Args:
        rules: From `learn`.
        products: Rows of features.basket_products of the date.
        members: Item -> ids of its variants, where it has several.
    """
    known = products.set_index("product_id")
    names = known["product_name"].dropna().to_dict()
    is_sold = known["count_orders_56d"].gt(0) & ~known["is_discontinued"].astype(bool)
    sold = set(known.index[is_sold])

    def of_item(item: str) -> Sequence[str]:
        return members.get(item, [item])

    ids = zip(rules["antecedent_ids"], rules["consequent_id"], strict=True)
    items = [[*antecedent, consequent] for antecedent, consequent in ids]
    shown: dict[str, Any] = {
        "antecedent_names": [[names.get(one, one) for one in each[:-1]] for each in items],
        "consequent_name": [names.get(each[-1], each[-1]) for each in items],
        "count_products": [sum(len(of_item(one)) for one in each) for each in items],
        "is_still_sold": [all(not sold.isdisjoint(of_item(one)) for one in each) for each in items],
    }
    return rules.assign(**shown)
