"""Training data of the value model, and whether they are enough to fit it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from ml_tasks.clv import outcomes
from ml_tasks.clv.amounts import OrderAmounts
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.features.store import FeatureStore

SEASON_NOT_SEEN = (
    "less than a year of the shop's history is known: in predictions for 90 and 365 days, seasons "
    "not seen yet count as the mean of the seasons seen"
)


@dataclass(frozen=True)
class TrainingData:
    """Data known on a training date; an absurd order counts as a usual one.

    Attributes:
        labelled: Snapshots with known 90-day outcomes.
        labelled_year: Snapshots with known 365-day outcomes.
        snapshot: All customers on the date; in a large shop, those of the sample.
        shop_days: Columns of features.shop_days.
        amounts: Usual and largest believable amount of an order.
        facts: Counts for the report.
    """

    labelled: pd.DataFrame
    labelled_year: pd.DataFrame
    snapshot: pd.DataFrame
    shop_days: pd.DataFrame
    amounts: OrderAmounts
    facts: dict[str, Any]

    @classmethod
    def read(cls, training_date: date, store: FeatureStore) -> TrainingData:
        """Read the data known on `training_date`, for as many customers as a fit can hold."""
        store = store.sample_for(training_date, HORIZON_DAYS)
        labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
        labelled_year = store.labelled_snapshots(training_date, YEAR_HORIZON_DAYS)
        snapshot, shop_days = store.snapshot(training_date), store.shop_days(training_date)
        amounts = OrderAmounts.of(snapshot)
        facts = {
            "training_date": str(training_date),
            "one_customer_in": store.one_in,
            "count_with_an_order_beyond_doubt": int(amounts.is_absurd(snapshot).sum()),
        }
        labelled, labelled_year, snapshot = map(
            amounts.believable, (labelled, labelled_year, snapshot)
        )
        return cls(labelled, labelled_year, snapshot, shop_days, amounts, facts)

    @property
    def is_eligible(self) -> bool:
        """True if the data are enough to fit a model."""
        return outcomes.is_learnable(self.labelled) and not self.snapshot.empty

    def as_report(self) -> dict[str, Any]:
        """Counts of the training data, and the counts needed, as JSON."""
        spent = self.labelled["outcome_net_spend_amount"] > 0
        return {
            **self.facts,
            "count_customers": len(self.snapshot),
            "count_days_with_orders": len(self.shop_days),
            "count_snapshots_with_known_outcome": len(self.labelled),
            "count_followed_by_spend": int(spent.sum()),
            "count_needed_with_spend": outcomes.MIN_ROWS_WITH_SPEND,
            "is_a_year_known": not self.labelled_year.empty,
            "is_a_year_seen": outcomes.was_watched_for(self.snapshot, YEAR_HORIZON_DAYS),
            "is_eligible": self.is_eligible,
        }

    def warnings(self, *, is_combined: bool) -> list[str]:
        """Warnings for readers of the scores; empty if all is well.

        Args:
            is_combined: True if the combination won, the only model with seasons.
        """
        warnings = []
        if is_combined and not outcomes.was_watched_for(self.snapshot, YEAR_HORIZON_DAYS):
            warnings.append(SEASON_NOT_SEEN)
        count_absurd = self.facts["count_with_an_order_beyond_doubt"]
        if count_absurd:
            warnings.append(
                f"{count_absurd} of {len(self.snapshot):,} customers had an order above "
                f"{self.amounts.largest:,.2f}, beyond doubt where {self.amounts.usual:,.2f} is"
                " usual: the models read it as a usual order. If the amount is a mistake, land the"
                " order again with the right one"
            )
        return warnings
