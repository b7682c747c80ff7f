"""Survival curves that go through the combined chance of an order on day 90.

`customers/chance.py` predicts the chance of an order within 90 days, as for churn and CLV. The
shape of the curve is the mean of other curves: the order process, Cox's model, and Kaplan-Meier by
recency. For customers with a rhythm, the curve of the rhythm has half of the weight. Each
customer's cumulative hazard is then multiplied so that the curve has the combined chance on day 90.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers.chance import PROCESS, ChanceModel
from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.customers.order_process import OrderProcess, histories
from ml_tasks.survival.curves import CAP_DAYS
from ml_tasks.survival.model import SurvivalModel, from_dict, to_dict
from ml_tasks.survival.rhythm import RhythmModel

# Days on which the process is evaluated; in between, its cumulative hazard is interpolated.
PROCESS_DAYS = (0, 30, HORIZON_DAYS, 180, CAP_DAYS)
LEAST_HAZARD, LEAST_SURVIVAL = 1e-9, 1e-12


@dataclass(frozen=True)
class AnchoredModel:
    """The chance of an order within 90 days, and the models that give the curve its shape.

    Attributes:
        chance: Model of the chance of an order within 90 days.
        shapes: Models of the curve, besides the chance's own process.
    """

    chance: ChanceModel
    shapes: tuple[SurvivalModel, ...]

    name = "combined"

    @property
    def observed_days(self) -> int:
        """Last day on which all shapes were observed; later hazards are extrapolated."""
        return min(shape.observed_days for shape in self.shapes)

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer from `day` on, shape (n_rows, CAP_DAYS + 1), first column 1."""
        process = self.chance.members[PROCESS]
        assert isinstance(process, OrderProcess)
        curves = {shape.name: shape.survival(snapshots, day) for shape in self.shapes}
        in_rhythm = curves.pop(RhythmModel.name, None)
        others = [process_survival(process, snapshots), *curves.values()]
        return anchored(others, self.chance.predict(snapshots), in_rhythm)

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON, without the trees of the chance."""
        shapes = [to_dict(shape) for shape in self.shapes]
        return {"kind": self.name, "chance": self.chance.parameters(), "shapes": shapes}

    @classmethod
    def from_dict(cls, content: dict[str, Any], artefacts: Mapping[str, bytes]) -> AnchoredModel:
        """The model, rebuilt from the result of `to_dict` and the file of the trees."""
        shapes = tuple(from_dict(shape) for shape in content["shapes"])
        return cls(ChanceModel.restored(content["chance"], artefacts), shapes)


def restored(content: dict[str, Any], artefacts: Mapping[str, bytes]) -> Survival:
    """The stored model, rebuilt; of any kind that this version or an earlier one wrote."""
    if content["kind"] == AnchoredModel.name:
        return AnchoredModel.from_dict(content, artefacts)
    return from_dict(content)


Survival = AnchoredModel | SurvivalModel


def process_survival(process: OrderProcess, snapshots: pd.DataFrame) -> np.ndarray:
    """S(t) by the purchase process, shape (n_rows, CAP_DAYS + 1), first column 1."""
    past = histories(snapshots)
    silent = [process.fitted.no_order_probability(past, float(day)) for day in PROCESS_DAYS[1:]]
    hazard = _hazard(np.column_stack([np.ones(len(snapshots)), *silent]))
    days = np.arange(CAP_DAYS + 1)
    right = np.searchsorted(PROCESS_DAYS, days).clip(min=1)
    begin, end = (np.array(PROCESS_DAYS)[right - 1], np.array(PROCESS_DAYS)[right])
    share = (days - begin) / (end - begin)
    return np.exp(-(hazard[:, right - 1] * (1 - share) + hazard[:, right] * share))


def anchored(
    curves: list[np.ndarray], chance: np.ndarray, in_rhythm: np.ndarray | None = None
) -> np.ndarray:
    """Mean of the curves, with the hazard multiplied so that 1 - S(90) is `chance`.

    Args:
        curves: S(t) for t = 0..h, h at least 90, shape (n_rows, h + 1) each.
        chance: Probability of an order within 90 days, shape (n_rows,).
        in_rhythm: One more curve, weighted like all others together, shape (n_rows, h + 1); NaN
            for customers without a rhythm.

    Returns:
        S(t), shape (n_rows, h + 1).
    """
    shape = np.mean(curves, axis=0)
    if in_rhythm is not None:
        shape = np.where(np.isnan(in_rhythm), shape, (shape + in_rhythm) / 2)
    hazard = _hazard(shape)
    wanted = _hazard(1 - chance)
    factor = wanted / np.maximum(hazard[:, HORIZON_DAYS], LEAST_HAZARD)
    return np.exp(-hazard * factor[:, None])


def _hazard(survival: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(survival, LEAST_SURVIVAL, 1.0))
