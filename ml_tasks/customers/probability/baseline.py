"""The probability models as baselines: any of them by its name, fitted to whatever there is."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from ml_tasks.customers.probability import bg_nbd, gamma_gamma, pareto_nbd
from ml_tasks.customers.probability.bg_nbd import BgNbd
from ml_tasks.customers.probability.gamma_gamma import GammaGamma
from ml_tasks.customers.probability.pareto_nbd import ParetoNbd

Process = BgNbd | ParetoNbd
PROCESSES: dict[str, type[Process]] = {kind.name: kind for kind in (BgNbd, ParetoNbd)}
FITS: dict[str, Callable[[pd.DataFrame], Process | None]] = {
    BgNbd.name: bg_nbd.fit,
    ParetoNbd.name: pareto_nbd.fit,
}


def process_of(kind: str, histories: pd.DataFrame) -> Process:
    """A process of orders; of a shop too small to tell it, one in which anything can happen.

    Args:
        kind: One of PROCESSES.
        histories: As of `rfm`, at least one row.
    """
    age = float(histories["age"].mean())
    unknown: dict[str, Process] = {
        BgNbd.name: BgNbd(1.0, age, 1.0, 1.0),
        ParetoNbd.name: ParetoNbd(1.0, age, 1.0, age),
    }
    return FITS[kind](histories) or unknown[kind]


def amounts_of(histories: pd.DataFrame) -> GammaGamma:
    """Amounts of a repeat; of too few, one's own mean drawn to all's as by one repeat."""
    mean = histories.loc[histories["mean_repeat_amount"] > 0, "mean_repeat_amount"].mean()
    return gamma_gamma.fit(histories) or GammaGamma(1.0, 2.0, float(mean) if mean > 0 else 0.0)
