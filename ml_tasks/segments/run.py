"""Segments: which group is a customer in, by behaviour and by the rules of RFM?

Reads   features.customer_snapshots  a row per as_of_date, customer_id (training)
        features.customer_outcomes   a row per as_of_date, customer_id, horizon_days (training)
        features.customer_rfm        a row per as_of_date, customer_id (scoring)
Writes  scores.segments              a row per as_of_date, customer_id
        scores.segment_profiles      a row per as_of_date, segment_id, grouping
        scores.segment_moves         a row per as_of_date, from_segment_id, to_segment_id, grouping
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import ClassVar

import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.segments import shop_tables
from ml_tasks.segments.evaluate import BASELINES, MIN_CUSTOMERS, evaluate, learn
from ml_tasks.segments.facts import FACTS
from ml_tasks.segments.model import Segmentation
from ml_tasks.segments.rfm import GROUP
from ml_tasks.segments.shop_tables import BEFORE, READ, SALES, SEGMENT, TEXTS
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

NAME, MODEL = "segments", "kmeans"
PROFILES, MOVES = "segment_profiles", "segment_moves"
RFM = "customer_rfm"


class Segments(Question):
    """Segments: which customers are alike, and who moved?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"spend_r2": HIGHER, "stability": HIGHER}
    baselines = BASELINES
    tested_days = HORIZON_DAYS
    headline = "spend_r2"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Choose the number of segments, fit k-means, and learn the borders of the RFM groups."""
        store = store.sample_for(training_date, HORIZON_DAYS)
        facts = store.snapshot(training_date)
        if reason := too_little(facts):
            return TrainedModel(NO_MODEL, training_date, {"reason": reason})
        labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
        scale, chosen, candidates = learn(facts, labelled, seed)
        evaluation = evaluate(labelled, seed)
        return TrainedModel(
            MODEL,
            training_date,
            Segmentation.of(facts, chosen.centres, scale, seed).to_dict(),
            metrics={**evaluation.metrics, "count_segments": float(chosen.count)},
            report={
                **evaluation.as_report(),
                "candidates": [one.to_dict() for one in candidates],
            },
        )

    def matched(self, model: TrainedModel, previous: TrainedModel) -> TrainedModel:
        """The new model with the ids and names of the segments that the previous one had."""
        if NO_MODEL in (model.name, previous.name):
            return model
        old = Segmentation.from_dict(previous.parameters)
        new = Segmentation.from_dict(model.parameters).matched(old)
        return replace(model, parameters=new.to_dict())

    def inputs(self, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
        """Recency, frequency and money, one row per customer."""
        return store.snapshot(as_of_date)[["customer_id", *FACTS]]

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of scores.segments for the customers in the store."""
        facts = store.features(RFM, as_of_date)
        known = facts[["customer_id", *FACTS, SALES]].reset_index(drop=True)
        if model.name == NO_MODEL:
            table = contracts.load(NAME).table(NAME)
            return {NAME: not_scored(table, known, model.parameters["reason"])}
        return {NAME: scored(assigned(facts, known, Segmentation.from_dict(model.parameters)))}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows; the first with the profiles of the segments and the moves."""
        del as_of_date, store
        beside = of_the_shop(parts, model)
        for part in parts:
            yield {**part, **beside}
            beside = {}


QUESTION = Segments()


def too_little(facts: pd.DataFrame) -> str:
    """Reason why these customers cannot be segmented; empty if they can.

    Args:
        facts: Columns FACTS.
    """
    if len(facts) < MIN_CUSTOMERS:
        return f"the shop has {len(facts)} customers; segments need {MIN_CUSTOMERS}"
    if len(facts[FACTS].drop_duplicates()) < 2:
        return "all customers are alike, so there is nothing to tell them apart by"
    return ""


def assigned(facts: pd.DataFrame, known: pd.DataFrame, model: Segmentation) -> pd.DataFrame:
    """Segment and RFM group of each customer, on the date and 28 days before.

    Args:
        facts: Rows of features.customer_rfm.
        known: The columns of them that are published as they are.
        model: Assigns the customers.
    """
    facts = facts.reset_index(drop=True)
    then = facts[[name + BEFORE for name in FACTS]].set_axis(FACTS, axis=1)
    then = then[then[FACTS[0]].notna()]
    ids_then = pd.Series(model.ids(then), then.index, dtype=object)
    groups_then = model.groups.of(then)[GROUP] if len(then) else ids_then
    now = model.ids(facts)
    return known.assign(
        **model.groups.of(facts),
        segment_id=now,
        segment_name=pd.Series(now, known.index, dtype=object).map(model.names),
        **{
            SEGMENT + BEFORE: _or_none(ids_then, known),
            GROUP + BEFORE: _or_none(groups_then, known),
        },
    )


def _or_none(values: pd.Series, known: pd.DataFrame) -> pd.Series:
    found = values.reindex(known.index).astype(object)
    return found.where(found.notna(), None)


def of_the_shop(parts: Parts, model: TrainedModel) -> Frames:
    """Rows of scores.segment_profiles and scores.segment_moves, or the reason for none.

    Args:
        parts: Rows of scores.segments, one frame per shard.
        model: The model that scored them.
    """
    if model.name == NO_MODEL:
        return _without(model.parameters["reason"])
    rows = pd.concat([part[NAME][READ] for part in parts], ignore_index=True)
    if rows.empty:
        return _without("the shop had no customers yet")
    texts = rows[TEXTS].astype(object)
    # sums depend on the order of the rows, and shards must not change a digit
    rows = rows.assign(**texts.where(texts.notna(), None))
    rows = rows.sort_values("customer_id", ignore_index=True)
    fitted = Segmentation.from_dict(model.parameters)
    return {
        PROFILES: scored(shop_tables.profiles(rows, fitted)),
        MOVES: scored(shop_tables.moves(rows, fitted)),
    }


def _without(reason: str) -> Frames:
    """One row without numbers in each table of the shop."""
    contract = contracts.load(NAME)
    one = {"grouping": ["behaviour"]}
    profile = pd.DataFrame({"segment_id": ["all"], **one})
    move = pd.DataFrame({"from_segment_id": ["all"], "to_segment_id": ["all"], **one})
    return {
        PROFILES: not_scored(contract.table(PROFILES), profile, reason),
        MOVES: not_scored(contract.table(MOVES), move, reason),
    }
