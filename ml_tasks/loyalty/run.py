"""Loyalty: the tier and the points of each customer by the shop's programme; nothing is trained.

Reads   features.customer_snapshots   who is known on a date
        marts.fct_orders, fct_refunds orders and refunds before the date, one row each
Writes  scores.loyalty                a row per as_of_date, customer_id
        scores.loyalty_ledger         a row per as_of_date, customer_id, month_date
        scores.loyalty_tiers          a row per as_of_date, tier
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from ml_tasks.features.store import FeatureStore
from ml_tasks.loyalty import entries, points
from ml_tasks.loyalty.by_tier import tier_rows
from ml_tasks.loyalty.programme import PROGRAMME, Version, load, parse
from ml_tasks.loyalty.published import check, published
from ml_tasks.loyalty.rows import ledger_rows, loyalty_rows
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import TrainedModel
from perennial import contracts

NAME, LEDGER, TIERS = "loyalty", "loyalty_ledger", "loyalty_tiers"
NONE_IN_FORCE = "no programme"
TOO_EARLY = "no version of the loyalty programme was in force on the date"


class Loyalty(Question):
    """Which tier is a customer in, how many points do they have, and who is about to move?"""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """All versions of the programme."""
        return _parameters(load().versions)

    def ruled(self, as_of_date: date) -> TrainedModel:
        """The versions in force by a date: a later version changes nothing about the date."""
        rules = _parameters(load().in_force(as_of_date))
        return TrainedModel(contracts.RULES, as_of_date, rules, version=rules["version"])

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of scores.loyalty and scores.loyalty_ledger for the customers in the store.

        Raises:
            ProgrammeError: If rules that were published have been edited.
        """
        check(published(store.connection), self._version_of, load().corrected)
        history = entries.read(store, as_of_date)
        return frames(history, versions_of(model), as_of_date)

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows; the first with the tiers."""
        del as_of_date, store
        versions = versions_of(model)
        beside = {TIERS: tier_rows(parts, versions[-1]) if versions else _no_rows(TIERS)}
        for part in parts:
            yield {**part, **beside}
            beside = {}

    def _version_of(self, as_of_date: date) -> str:
        return self.ruled(as_of_date).model_version


QUESTION = Loyalty()


def versions_of(model: TrainedModel) -> tuple[Version, ...]:
    """The versions that a model holds, ascending by date; empty if none was in force."""
    content = {"versions": model.parameters["versions"]}
    return parse(content, str(PROGRAMME)).versions if content["versions"] else ()


def frames(
    history: entries.History, versions: Sequence[Version], as_of_date: date
) -> dict[str, pd.DataFrame]:
    """Rows of a shard by score table.

    Args:
        history: What the shard's customers did before the date.
        versions: Those in force by the date, ascending; empty: rows are not scored.
        as_of_date: The scored date.
    """
    if not versions:
        known = pd.DataFrame({"customer_id": history.customers})
        month = pd.Timestamp(as_of_date).replace(day=1)
        return {
            NAME: not_scored(contracts.load(NAME).table(NAME), known, TOO_EARLY),
            LEDGER: not_scored(
                contracts.load(NAME).table(LEDGER), known.assign(month_date=month), TOO_EARLY
            ),
        }
    day = as_of_date.toordinal()
    found = points.compute(history, versions, day)
    return {
        NAME: scored(loyalty_rows(history, found, versions, day)),
        LEDGER: scored(ledger_rows(history, found, day)),
    }


def _parameters(versions: Sequence[Version]) -> dict[str, Any]:
    name = versions[-1].version if versions else NONE_IN_FORCE
    return {"version": name, "versions": [version.as_json() for version in versions]}


def _no_rows(table: str) -> pd.DataFrame:
    columns = contracts.load(NAME).table(table).question_columns
    return pd.DataFrame({column.name: pd.Series(dtype=object) for column in columns})
