"""Actions: at most one a customer and date, ranked by expected gain, with a tenth held out.

Reads   features.customer_snapshots                               a row per as_of_date, customer_id
        scores.churn, scores.clv, scores.stages                   a row per as_of_date, customer_id
        scores.actions, scores.action_effects of earlier dates
        intermediate.int_customer_days
Writes  scores.actions                                            a row per as_of_date, customer_id
        scores.action_effects                                          a row per as_of_date, action
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.actions import catalogue as catalogues
from ml_tasks.actions import effects, gains, past
from ml_tasks.actions.catalogue import LEAVE_ALONE, Catalogue
from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.evaluation.held_out import LEAST_A_GROUP
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import TrainedModel
from perennial import contracts

NAME, EFFECTS = "actions", "action_effects"
EPOCH = date(1970, 1, 1)
NOT_SCORED = "churn, clv or stages has no score of this customer for the date"
TOO_FEW = f"fewer than {LEAST_A_GROUP} customers contacted, or held out, 90 days ago"
CONTACT, HELD_OUT, NONE = "contact", "held_out", "none"  # assignments
OVER_BUDGET = "the budget of the date goes to customers with a larger gain"
NOT_DUE = "the turn of this customer comes on another day"
NO_TURN = -1
AMOUNTS = [
    "expected_gain_amount",
    "expected_gain_amount_lower",
    "expected_gain_amount_upper",
    "cost_amount",
]


class Actions(Question):
    """Actions: what to do about each customer now."""

    name = NAME

    def rules(self) -> Mapping[str, Any]:
        """The catalogue."""
        return catalogues.load().model_dump(mode="json")

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """The best action of each customer in the store, before turns are weighed together."""
        catalogue = catalogues.parse(dict(model.parameters))
        customers = _customers(as_of_date, store)
        needed = ["stage", "order_probability", "expected_spend_amount"]
        is_known = customers[needed].notna().all(axis=1)
        known = customers[is_known].reset_index(drop=True)
        planned = effects.updated(past.newest_effects(store, as_of_date), catalogue)
        rows = scored(_rows(known, as_of_date, catalogue, planned))
        if not is_known.all():
            table = contracts.load(NAME).table(NAME)
            unknown = not_scored(table, customers.loc[~is_known, ["customer_id"]], NOT_SCORED)
            unknown = unknown.assign(days_to_turn=NO_TURN, is_held_out=False)
            rows = pd.concat([rows, unknown], ignore_index=True) if len(rows) else unknown
        return {NAME: rows}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows with the budget spent on the largest gains; effects first."""
        catalogue = catalogues.parse(dict(model.parameters))
        turns = _turns(parts)
        ranks = within_budget(turns, _budget(parts, catalogue))
        beside = {EFFECTS: _effects(as_of_date, store, catalogue)}
        for part in parts:
            yield {NAME: assigned(part[NAME], ranks), **beside}
            beside = {}


QUESTION = Actions()


def within_budget(turns: pd.DataFrame, budget_amount: float) -> pd.Series:
    """Ranks of the customers whose contacts the budget pays for, by gain; index customer_id.

    Args:
        turns: Customers with an action whose turn it is: customer_id, expected_gain_amount,
            cost_amount. Those who are held out cost nothing, and are ranked with the others.
        budget_amount: Largest cost of the date, shop currency.
    """
    ordered = turns.sort_values(
        ["expected_gain_amount", "customer_id"], ascending=[False, True], kind="stable"
    )
    spent = ordered["cost_amount"].where(~ordered["is_held_out"].astype(bool), 0.0).cumsum()
    chosen = ordered[(spent <= budget_amount).to_numpy()]
    return pd.Series(np.arange(1, len(chosen) + 1), index=chosen["customer_id"])


def assigned(rows: pd.DataFrame, ranks: pd.Series) -> pd.DataFrame:
    """Rows with action, assignment and contact_rank, and the reason where there is no action.

    Args:
        rows: From `score_shard`.
        ranks: From `within_budget`.
    """
    rank = ranks.reindex(rows["customer_id"].to_numpy(dtype=object)).to_numpy(dtype=float)
    is_scored = (rows["score_status"] == "scored").to_numpy()
    is_chosen = ~np.isnan(rank)
    is_held_out = rows["is_held_out"].to_numpy(dtype=bool)
    is_due = is_scored & (rows["days_to_turn"] == 0).to_numpy()
    why = np.where(is_due, OVER_BUDGET, NOT_DUE).astype(object)
    has_reason = rows["why_not"].notna().to_numpy()
    why[has_reason] = rows.loc[has_reason, "why_not"]
    why[is_chosen | ~is_scored] = None
    action = np.where(is_chosen, rows["best_action"], LEAVE_ALONE).astype(object)
    assignment = np.where(is_held_out, HELD_OUT, CONTACT)
    assignment = np.where(is_chosen, assignment, NONE).astype(object)
    action[~is_scored] = assignment[~is_scored] = None
    return rows.drop(columns=["days_to_turn", "is_held_out"]).assign(
        action=action, assignment=assignment, contact_rank=rank, why_not=why
    )


def _rows(
    known: pd.DataFrame, as_of_date: date, catalogue: Catalogue, planned: gains.Effects
) -> pd.DataFrame:
    days = gains.turn_in_days(
        known["customer_id"], (as_of_date - EPOCH).days, catalogue.turn_every_days
    )
    best = gains.best(known, catalogue, planned)
    return pd.DataFrame(
        {
            "customer_id": known["customer_id"],
            "best_action": best["best_action"],
            **{name: best[name].round(2) for name in AMOUNTS},
            "why_not": best["why_not"],
            "next_turn_date": pd.Timestamp(as_of_date) + pd.to_timedelta(days, unit="D"),
            "order_probability_90d": known["order_probability"],
            "expected_spend_amount_90d": known["expected_spend_amount"],
            "days_to_turn": days,
            "is_held_out": gains.is_held_out(known["customer_id"], catalogue.held_out_share),
        }
    )


def _customers(as_of_date: date, store: FeatureStore) -> pd.DataFrame:
    """Snapshots with the scores of the other questions; NaN where there is none."""
    names = ["customer_id", "count_orders", "days_since_last_order", "avg_order_amount"]
    frame = store.snapshot(as_of_date)[names]
    for question, columns in {
        "churn": {"churn_probability_90d": "order_probability"},
        "clv": {"predicted_spend_amount_90d": "expected_spend_amount"},
        "stages": {"stage": "stage"},
    }.items():
        scores = store.scores(question, as_of_date)[["customer_id", *columns]]
        frame = frame.merge(scores.rename(columns=columns), on="customer_id", how="left")
    for name in ("order_probability", "expected_spend_amount"):
        frame[name] = frame[name].astype(float)
    return frame.assign(order_probability=1 - frame["order_probability"])


def _turns(parts: Parts) -> pd.DataFrame:
    """Customers with an action whose turn it is, of all shards."""
    names = ["customer_id", "expected_gain_amount", "cost_amount", "is_held_out"]
    found = []
    for part in parts:
        rows = part[NAME]
        is_due = (rows["score_status"] == "scored") & (rows["days_to_turn"] == 0)
        found.append(rows.loc[is_due & (rows["best_action"] != LEAVE_ALONE), names])
    return pd.concat(found, ignore_index=True)


def _budget(parts: Parts, catalogue: Catalogue) -> float:
    """Budget of the date: a share of the spend expected of the customers whose turn it is."""
    spend = 0
    for part in parts:
        rows = part[NAME]
        due = rows.loc[rows["days_to_turn"] == 0, "expected_spend_amount_90d"].astype(float)
        # in whole cents: a sum of floats would depend on the number of shards
        spend += int((due.fillna(0) * 100).round().astype(np.int64).sum())
    return catalogue.budget_share_of_spend * spend / 100


def _effects(as_of_date: date, store: FeatureStore, catalogue: Catalogue) -> pd.DataFrame:
    newest = as_of_date - timedelta(days=HORIZON_DAYS)
    rows = effects.measured(past.turns(store, as_of_date, newest), catalogue)
    table = contracts.load(NAME).table(EFFECTS)
    is_known = effects.is_measured(rows)
    names = [c.name for c in table.question_columns if c.name in rows]
    parts = []
    if is_known.any():
        parts.append(scored(rows.loc[is_known, names]))
    if not is_known.all():
        facts = ["action", "count_contacted", "count_held_out"]
        parts.append(not_scored(table, rows.loc[~is_known, facts], TOO_FEW))
    return pd.concat(parts, ignore_index=True)
