"""The probability models as baselines: fitted by name, with a flat prior where data are few."""

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
    """The fitted process, or a flat prior when the shop has too few customers to fit one.

    Args:
        kind: Key of PROCESSES.
        histories: Columns of `rfm`, at least one row.
    """
    age = float(histories["age"].mean())
    flat: dict[str, Process] = {
        BgNbd.name: BgNbd(1.0, age, 1.0, 1.0),
        ParetoNbd.name: ParetoNbd(1.0, age, 1.0, age),
    }
    return FITS[kind](histories) or flat[kind]


def amounts_of(histories: pd.DataFrame) -> GammaGamma:
    """Fit Gamma-Gamma to repeat amounts.

    With too few repeats, shrink each customer's mean to the overall mean as if one repeat had been
    seen.

    Args:
        histories: Columns of `rfm`, at least one row.
    """
    mean = histories.loc[histories["mean_repeat_amount"] > 0, "mean_repeat_amount"].mean()
    return gamma_gamma.fit(histories) or GammaGamma(1.0, 2.0, float(mean) if mean > 0 else 0.0)
