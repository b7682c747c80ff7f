"""Spend and order days of a customer in 90 days, given that there is an order.

Three models predict the spend: a process times Gamma-Gamma, a regression on logs, and trees on the
buying clock. None is best in every shop, so the prediction is the mean of their logs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import GammaRegressor

from ml_tasks.clv.amount_trees import Expected, amount_offset, mean_order_amount, own_order_amount
from ml_tasks.clv.baselines import net_share
from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND, spend
from ml_tasks.customers import boosting, margins
from ml_tasks.customers.boosting import OffsetTrees
from ml_tasks.customers.buying_clock import BuyingClock
from ml_tasks.customers.chance import PROCESS, TREES, Members
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.known import Known
from ml_tasks.customers.order_process import OrderProcess, histories
from ml_tasks.customers.probability.baseline import amounts_of
from ml_tasks.customers.probability.fitting import rounded
from ml_tasks.customers.probability.gamma_gamma import GammaGamma
from ml_tasks.customers.probability.rfm import rfm
from ml_tasks.customers.regression import covariates

GAMMA_GAMMA, REGRESSION, TREES_OF_AMOUNT = "pareto_x_gamma_gamma", "gamma_regression", "trees"
MEMBERS = (GAMMA_GAMMA, REGRESSION, TREES_OF_AMOUNT)
PENALTY = 0.1
MIN_AMOUNT_OF_MEAN = 1e-6


@dataclass(frozen=True)
class ProcessAmount:
    """Pareto/NBD's order days given an order, times Gamma-Gamma's amount per order.

    Attributes:
        process: The process that predicts the chance of an order.
        amounts: Parameters of Gamma-Gamma, gross amounts.
        net_share: Net spend over gross spend of all customers, in [0, 1].
    """

    process: OrderProcess
    amounts: dict[str, float]
    net_share: float

    name = GAMMA_GAMMA

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON, without those of the process."""
        return {"amounts": self.amounts, "net_share": self.net_share}

    def orders(self, snapshot: pd.DataFrame, days: int) -> np.ndarray:
        """Expected number of days with an order in the next `days` days, shape (n,)."""
        return self.process.fitted.expected_orders(histories(snapshot), float(days))

    def log_odds(self, snapshot: pd.DataFrame, days: int) -> np.ndarray:
        """Log odds of an order in the next `days` days, shape (n,)."""
        silent = self.process.fitted.no_order_probability(histories(snapshot), float(days))
        return margins.log_odds(1 - silent)

    def orders_if_any(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Expected days with an order in 90 days given an order, shape (n,), at least 1."""
        any_order = margins.inverse_link(self.log_odds(snapshot, HORIZON_DAYS), "logistic")
        return np.maximum(self.orders(snapshot, HORIZON_DAYS) / any_order, 1.0)

    def log_amount(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log of the mean 90-day amount given any spend, shop currency, shape (n,)."""
        an_order = GammaGamma(**self.amounts).expected_amount(rfm(snapshot)) * self.net_share
        return np.log(np.maximum(an_order, 1e-12) * self.orders_if_any(snapshot))


@dataclass(frozen=True)
class AmountRegression:
    """Gamma regression with log link on a customer's order amounts and frequency.

    Attributes:
        mean_order_amount: Amounts are divided by it, so that the currency does not matter.
        intercept: Log of the predicted amount over `mean_order_amount` at the center.
        center: Mean of each column of `_columns`.
        coefficients: Change of the log per unit of each column.
    """

    mean_order_amount: float
    intercept: float
    center: list[float]
    coefficients: list[float]

    name = REGRESSION

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return asdict(self)

    def log_amount(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log of the mean 90-day amount given any spend, shop currency, shape (n,)."""
        away = _columns(snapshot, self.mean_order_amount) - np.array(self.center)
        # no matrix product: its last digits depend on the number of rows
        margin = self.intercept + (away * np.array(self.coefficients)).sum(axis=1)
        return np.log(self.mean_order_amount) + margin


@dataclass(frozen=True)
class AmountTrees:
    """Gamma trees with an offset: the clock's order days times the customer's amount per order."""

    clock: BuyingClock
    mean_order_amount: float
    trees: OffsetTrees

    name = TREES_OF_AMOUNT

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON, without clock and booster."""
        return {"mean_order_amount": self.mean_order_amount, "trees": self.trees.parameters()}

    def orders(self, snapshot: pd.DataFrame, days: int) -> np.ndarray:
        """Expected number of days with an order in the next `days` days, shape (n,)."""
        return Expected.of(self.clock, snapshot, days).orders

    def log_odds(self, snapshot: pd.DataFrame, days: int) -> np.ndarray:
        """Log odds of an order in the next `days` days, shape (n,)."""
        return Expected.of(self.clock, snapshot, days).log_odds

    def orders_if_any(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Expected days with an order in 90 days given an order, shape (n,), at least 1."""
        return Expected.of(self.clock, snapshot, HORIZON_DAYS).orders_if_any

    def log_amount(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log of the mean 90-day amount given any spend, shop currency, shape (n,)."""
        expected = Expected.of(self.clock, snapshot, HORIZON_DAYS)
        offset = amount_offset(snapshot, expected, self.mean_order_amount)
        return self.trees.margin(snapshot, offset)


AmountMember = ProcessAmount | AmountRegression | AmountTrees


def fit_members(known: Known, members: Members, seed: int) -> dict[str, AmountMember]:
    """Fit each member with enough data; the process times Gamma-Gamma is always fitted.

    Args:
        known: Snapshots and outcomes known on the date.
        members: Fitted members of the chance of an order on the same date: they give the process
            and the clock.
        seed: Seed of the trees.

    Returns:
        Name of MEMBERS -> fitted member.
    """
    process, trees = members[PROCESS], members.get(TREES)
    assert isinstance(process, OrderProcess)
    usual = round(mean_order_amount(known.snapshot), 6)
    fitted: list[AmountMember] = [
        ProcessAmount(process, rounded(amounts_of(rfm(known.snapshot))), net_share(known.snapshot))
    ]
    amounts = spend(known.labelled)
    if (amounts > 0).sum() >= MIN_ROWS_WITH_SPEND and usual > 0:
        fitted.append(_fit_regression(known.labelled, amounts, usual))
        if isinstance(trees, ClockTrees):
            fitted.append(_fit_trees(known.labelled, amounts, trees.clock, usual, seed))
    return {member.name: member for member in fitted}


def _fit_regression(
    labelled: pd.DataFrame, amounts: np.ndarray, mean_order_amount: float
) -> AmountRegression:
    is_spent = amounts > 0
    table = _columns(labelled[is_spent], mean_order_amount)
    center, scale = table.mean(axis=0), table.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    share = np.maximum(amounts[is_spent] / mean_order_amount, MIN_AMOUNT_OF_MEAN)
    fitter = GammaRegressor(alpha=PENALTY, solver="newton-cholesky", tol=1e-8)
    fitter.fit((table - center) / scale, share)
    return AmountRegression(
        mean_order_amount,
        round(float(fitter.intercept_), 6),
        center.round(6).tolist(),
        (fitter.coef_ / scale).round(6).tolist(),
    )


def _fit_trees(
    labelled: pd.DataFrame,
    amounts: np.ndarray,
    clock: BuyingClock,
    mean_order_amount: float,
    seed: int,
) -> AmountTrees:
    expected = Expected.of(clock, labelled, HORIZON_DAYS)
    offset = amount_offset(labelled, expected, mean_order_amount)
    is_spent = amounts > 0
    unit = float(np.log(amounts.sum() / np.exp(offset[is_spent]).sum()))
    if_any = np.where(is_spent, amounts, np.nan)
    trees = boosting.fit(labelled, if_any, offset + unit, "gamma", seed)
    raw = np.exp(trees.margin(labelled, offset))[is_spent]
    shift = round(float(np.log(amounts.sum() / raw.sum())), 6)
    return AmountTrees(
        clock,
        mean_order_amount,
        OffsetTrees(**{**trees.parameters(), "shift": shift}, trees=trees.trees),
    )


def _columns(snapshots: pd.DataFrame, mean_order_amount: float) -> np.ndarray:
    """Inputs of the regression: logs of amount shares, and covariates; (n_rows, n_columns)."""
    own = own_order_amount(snapshots, mean_order_amount) / mean_order_amount
    last, largest = (
        np.maximum(snapshots[name].to_numpy(dtype=float) / mean_order_amount, MIN_AMOUNT_OF_MEAN)
        for name in ("last_order_amount", "max_order_amount")
    )
    amounts = np.column_stack([np.log(own), np.log1p(last), np.log1p(largest)])
    return np.concatenate([amounts, covariates(snapshots).to_numpy()], axis=1)
