"""The three parts of a next order together: when, how much, what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ml_tasks.next_order import amount, families, wait
from ml_tasks.next_order.amount import Amounts
from ml_tasks.next_order.families import Families
from ml_tasks.next_order.shop_time import ShopTime
from ml_tasks.next_order.wait import Waits

WAIT_FILE, AMOUNT_FILE, FAMILY_FILE = "wait.ubj", "amount.ubj", "families.ubj"


@dataclass(frozen=True)
class Methods:
    """The method of each part; empty for families where there are none."""

    wait: str = wait.TREES
    amount: str = amount.TREES
    families: str = families.TREES


@dataclass(frozen=True)
class NextOrder:
    """Fitted parts; `families` is None for a shop without families."""

    wait: Waits
    amount: Amounts
    families: Families | None

    @property
    def methods(self) -> Methods:
        """What was fitted: families without anything to learn fall back to a baseline."""
        of_families = self.families.method if self.families else ""
        return Methods(self.wait.method, self.amount.method, of_families)

    def parameters(self) -> dict[str, Any]:
        """All but the boosters, as JSON."""
        return {
            "wait": self.wait.parameters(),
            "amount": self.amount.parameters(),
            "families": families.parameters(self.families),
        }

    def artefacts(self) -> dict[str, bytes]:
        """File name -> booster, of the parts that have one."""
        boosters = {
            WAIT_FILE: self.wait.trees,
            AMOUNT_FILE: self.amount.trees,
            FAMILY_FILE: self.families.trees if self.families else b"",
        }
        return {name: content for name, content in boosters.items() if content}

    @classmethod
    def restored(cls, stored: dict[str, Any], artefacts: dict[str, bytes]) -> NextOrder:
        """Rebuild from `parameters` and `artefacts`."""
        return cls(
            Waits.restored(stored["wait"], artefacts.get(WAIT_FILE, b"")),
            Amounts(**stored["amount"], trees=artefacts.get(AMOUNT_FILE, b"")),
            families.restored(stored["families"], artefacts.get(FAMILY_FILE, b"")),
        )


def fit(
    methods: Methods, past: pd.DataFrame, today: pd.DataFrame, time: ShopTime, seed: int
) -> NextOrder:
    """Fit all parts to past dates.

    Args:
        methods: The method of each part.
        past: See `inputs.past_facts`.
        today: Facts of the training date.
        time: Shop time as known on the training date.
        seed: Random seed of the trees.
    """
    day = pd.Timestamp(today["as_of_date"].iloc[0])
    return NextOrder(
        wait.fit(methods.wait, past, time, seed),
        amount.fit(methods.amount, past, day, seed),
        families.fit(methods.families, past, today, seed),
    )
