"""Baselines of the combination: repeats of the past, and the probability models alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.customers.probability.baseline import PROCESSES, amounts_of, process_of
from ml_tasks.customers.probability.fitting import rounded
from ml_tasks.customers.probability.gamma_gamma import GammaGamma
from ml_tasks.customers.probability.rfm import rfm


@dataclass(frozen=True)
class Repeat:
    """Predict that each customer repeats a stretch of the past.

    Attributes:
        stretch: `90d` (the last 90 days) or `season_last_year` (the same 90 days a year ago).
    """

    stretch: str

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """Predict spend and orders, a row per row of `snapshot`.

        Returns:
            `spend_90` and `orders` of the stretch; `spend_365`, the spend of the last 365 days.
        """
        return pd.DataFrame(
            {
                "spend_90": _amount(snapshot, f"net_spend_amount_{self.stretch}"),
                "orders": snapshot[f"count_orders_{self.stretch}"].to_numpy(dtype=float),
                "spend_365": _amount(snapshot, "net_spend_amount_365d"),
            },
            index=snapshot.index,
        )


@dataclass(frozen=True)
class ProcessTimesAmount:
    """BG/NBD or Pareto/NBD in calendar days, times Gamma-Gamma: no season, no trees, no bounds.

    Attributes:
        kind: Name of the process, a key of PROCESSES.
        process: Parameters of the process.
        amounts: Parameters of Gamma-Gamma, gross amounts.
        net_share: Net spend over gross spend of all customers, in [0, 1].
    """

    kind: str
    process: dict[str, float]
    amounts: dict[str, float]
    net_share: float

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """Predict spend and orders, a row per row of `snapshot`.

        Returns:
            `spend_90` and `spend_365`; `orders`, days with an order in 90 days; `chance_90` and
            `chance_365`, the probability of an order.
        """
        histories = rfm(snapshot)
        process = PROCESSES[self.kind](**self.process)
        amount = GammaGamma(**self.amounts).expected_amount(histories) * self.net_share
        quarter, year = (
            process.expected_orders(histories, float(days))
            for days in (HORIZON_DAYS, YEAR_HORIZON_DAYS)
        )
        chances = {
            f"chance_{days}": 1 - process.no_order_probability(histories, float(days))
            for days in (HORIZON_DAYS, YEAR_HORIZON_DAYS)
        }
        return pd.DataFrame(
            {
                "spend_90": quarter * amount,
                "orders": quarter,
                "spend_365": year * amount,
                **chances,
            },
            index=snapshot.index,
        )


def repeat_of(stretch: str, snapshot: pd.DataFrame) -> Repeat:
    """The repeat of a stretch; nothing is fitted."""
    del snapshot
    return Repeat(stretch)


def fit_process(kind: str, snapshot: pd.DataFrame) -> ProcessTimesAmount:
    """Fit process and Gamma-Gamma to the histories of a date, at least one row; no outcome read."""
    histories = rfm(snapshot)
    return ProcessTimesAmount(
        kind=kind,
        process=rounded(process_of(kind, histories)),
        amounts=rounded(amounts_of(histories)),
        net_share=net_share(snapshot),
    )


def net_share(snapshot: pd.DataFrame) -> float:
    """Net spend over gross spend of all customers, in [0, 1]; 1 where there is no gross spend.

    Args:
        snapshot: Columns gross_spend_amount, net_spend_amount.
    """
    gross = float(snapshot["gross_spend_amount"].sum())
    net = float(snapshot["net_spend_amount"].clip(lower=0).sum())
    return round(min(net / gross, 1.0), 6) if gross > 0 else 1.0


Baseline = Repeat | ProcessTimesAmount
REPEATS = {"repeat_of_last_90_days": "90d", "same_90_days_last_year": "season_last_year"}
PRODUCTS = {f"{kind}_x_gamma_gamma": kind for kind in PROCESSES}
FIRST = next(iter(REPEATS))  # published in a shop too young to test anything
# Name -> fit(snapshot of the training date).
BASELINES: dict[str, Callable[[pd.DataFrame], Baseline]] = {
    **{name: partial(repeat_of, stretch) for name, stretch in REPEATS.items()},
    **{name: partial(fit_process, kind) for name, kind in PRODUCTS.items()},
}


def restored(name: str, parameters: dict[str, Any]) -> Baseline:
    """The baseline `name`, rebuilt from its stored parameters."""
    return Repeat(REPEATS[name]) if name in REPEATS else ProcessTimesAmount(**parameters)


def _amount(snapshot: pd.DataFrame, column: str) -> np.ndarray:
    return snapshot[column].to_numpy(dtype=float).clip(min=0)
