"""RFM groups: five scores each of recency, frequency and money, and a named group of them.

The borders of the scores are learnt on the training date and kept, so that a customer changes the
group because the customer has changed, not because others have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ml_tasks.segments.facts import FACTS, FREQUENCY, MONEY, RECENCY

FILE = Path(__file__).parent / "rfm_groups.yml"
QUINTILES = (0.2, 0.4, 0.6, 0.8)
SCORES = ["recency_score", "frequency_score", "monetary_score"]
GROUP = "rfm_group"
PROSPECTS = "prospects"  # people without an order; they are not among the customers


@cache
def rules() -> dict[str, Any]:
    """The file of groups: `version`, `groups` (id -> name), `by_scores`.

    `by_scores` has for each recency score, as a text, the ids of the groups for a mean score of
    frequency and money of 1 to 5.
    """
    content = yaml.safe_load(FILE.read_text())
    by_scores = {str(score): groups for score, groups in content["by_scores"].items()}
    return {**content, "by_scores": by_scores}


@dataclass(frozen=True)
class RfmGroups:
    """The borders of the scores, and the rules that name the groups.

    Attributes:
        borders: Fact -> its four quintiles on the training date, ascending.
        rules: As of `rules`, of the version that the model was trained with.
    """

    borders: dict[str, list[float]]
    rules: dict[str, Any]

    @classmethod
    def learn(cls, facts: pd.DataFrame) -> RfmGroups:
        """Learn the borders from the customers of the training date.

        Args:
            facts: Columns FACTS, at least one row.
        """
        borders = {
            name: [float(value) for value in np.quantile(facts[name], QUINTILES)] for name in FACTS
        }
        return cls(borders, rules())

    @property
    def names(self) -> dict[str, str]:
        """Id -> name of the groups that a customer can be in."""
        return {key: name for key, name in self.rules["groups"].items() if key != PROSPECTS}

    def of(self, facts: pd.DataFrame) -> pd.DataFrame:
        """Columns SCORES (1 to 5, 5 is best) and GROUP (id of the group), one row per row.

        Args:
            facts: Columns FACTS.
        """
        recency = 6 - self._rank(facts, RECENCY)
        frequency, money = self._rank(facts, FREQUENCY), self._rank(facts, MONEY)
        mean = (frequency + money + 1) // 2  # a half is rounded up
        by_scores = np.array([self.rules["by_scores"][str(score)] for score in range(1, 6)])
        scores = dict(zip(SCORES, (recency, frequency, money), strict=True))
        group = by_scores[recency - 1, mean - 1].astype(object)
        return pd.DataFrame({**scores, GROUP: group}, index=facts.index)

    def _rank(self, facts: pd.DataFrame, name: str) -> np.ndarray:
        """1 to 5; shape (n_rows,). A value on a border is below it, so equal values rank equal."""
        return 1 + np.searchsorted(self.borders[name], facts[name].to_numpy(float), side="left")
