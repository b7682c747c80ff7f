"""Survival: when a known customer will be back, and how long customers stay away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from ml_tasks.customers import chance
from ml_tasks.customers.chance import ChanceModel
from ml_tasks.customers.known import HORIZON_DAYS, Known
from ml_tasks.customers.learnable import is_learnable
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.plots import lines
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.survival import figures
from ml_tasks.survival.anchored import AnchoredModel, Survival, restored
from ml_tasks.survival.curves import CURVE_COLUMNS, curves_by_group
from ml_tasks.survival.effects import EFFECT_COLUMNS, fit_effects, with_reasons
from ml_tasks.survival.evaluate import Told, evaluate, headlines, is_better, is_enough
from ml_tasks.survival.model import (
    CAP_DAYS,
    HORIZONS_DAYS,
    CoxModel,
    fit_cox,
    predict,
    to_dict,
)
from ml_tasks.survival.observations import observations_of
from ml_tasks.survival.recency import MIN_EVENTS, MIN_FOLLOW_UP_DAYS, RecencyModel, fit_recency
from ml_tasks.survival.rhythm import fit_rhythm
from ml_tasks.survival.shop_days import fit_shop_days
from ml_tasks.trained_model import TrainedModel, canonical_json

NAME = "survival"
MODEL_FILE, CURVES_FILE, EFFECTS_FILE = "model.json", "curves.json", "effects.json"
NO_MODEL = "no_model"
MAX_CUSTOMERS = 30_000  # their whole histories fit a small machine; more move no curve
NO_EFFECTS = "the model is older than its effects"


class TimeToOrder(Question):
    """Survival: when will a known customer be back?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"integrated_brier": LOWER, "concordance": HIGHER}
    baselines = (RecencyModel.name,)
    bias = BiasFigures("mean_order_probability_90d", "ordered_rate_90d", is_rate=True)
    tested_days = max(HORIZONS_DAYS)
    headline = "concordance"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit on all grid snapshots before `training_date`, by what was known on it.

        A hazard that was observed for less than a year goes on at its mean rate, and the model's
        name says so.
        """
        known_date = pd.Timestamp(training_date)
        observations = observations_of(store.next_orders(training_date, MAX_CUSTOMERS))
        if not is_enough(observations, known_date):
            reason = too_little(observations, known_date)
            return TrainedModel(NO_MODEL, training_date, {"reason": reason})
        counts = store.shop_days(training_date)
        shop_days = fit_shop_days(store.snapshot(training_date), counts)
        fitted = _fit_chance(training_date, store, seed)
        told = Told.of(fitted.known, fitted.told) if fitted else None
        report, plots = evaluate(observations, known_date, counts, told)
        curves = curves_by_group(observations)
        effects, check = fit_effects(observations, shop_days)
        cox, recency = fit_cox(observations, known_date, shop_days), fit_recency(observations)
        model: Survival = cox if cox and is_better(report) else recency
        if fitted:
            rhythm = fit_rhythm(observations)
            shapes = tuple(shape for shape in (cox, recency, rhythm) if shape)
            model = AnchoredModel(fitted.model, shapes)
        is_extended = model.observed_days < CAP_DAYS
        newest = [part for cut in report[:1] for part in cut["groups"]]
        groups = [part for part in newest if part["model"] == model.name]
        return TrainedModel(
            name=model.name + ("_extended" if is_extended else ""),
            training_date=training_date,
            parameters={"observed_days": model.observed_days, "cap_days": CAP_DAYS},
            artefacts={
                MODEL_FILE: canonical_json(
                    model.to_dict() if isinstance(model, AnchoredModel) else to_dict(model)
                ).encode(),
                **(model.chance.artefacts() if isinstance(model, AnchoredModel) else {}),
                CURVES_FILE: curves.to_json(orient="columns", double_precision=15).encode(),
                EFFECTS_FILE: effects.to_json(orient="columns", double_precision=15).encode(),
            },
            metrics=headlines(report) | {"count_observations": float(len(observations))},
            report={
                "decision": _decision(model.name, fitted, report, check),
                "proportional_hazards": check,
                "cuts": report,
                **({COMBINED: str(fitted.combination)} if fitted else {}),
                "warnings": [warning for part in groups for warning in part["warnings"]],
            },
            plots={**plots, "survival_curves.png": _plot(curves)},
        )

    def reads(self, model: TrainedModel) -> bool:
        """Whether this code can score with a model; one stored by an older form is trained anew."""
        stored = json.loads(model.artefacts.get(MODEL_FILE, b"{}"))
        return "levels" not in stored.get("shop_days", {})

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """The rows of the customers that the store holds."""
        snapshots = store.snapshot(as_of_date)
        if model.name == NO_MODEL:
            return {NAME: _not_scored(snapshots, model.parameters["reason"])}
        fitted = restored(json.loads(model.artefacts[MODEL_FILE]), model.artefacts)
        return {NAME: _scored(predict(fitted, snapshots, pd.Timestamp(as_of_date)))}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """The rows of each shard; beside the first, the shop's curves and effects."""
        del as_of_date, store
        of_the_shop = _curves_and_effects(model)
        for part in parts:
            yield {**part, **of_the_shop}
            of_the_shop = {}

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """See `ml_tasks.survival.figures`."""
        return figures.figures(rows, horizon_days)


QUESTION = TimeToOrder()


def too_little(observations: pd.DataFrame, known_date: pd.Timestamp) -> str:
    """What there is and what is needed, for a shop that says too little."""
    first = observations["snapshot_date"].min()
    days = 0 if observations.empty else (known_date - first).days
    return (
        f"customers were watched for {days} days and placed {observations['is_ordered'].sum()} "
        f"further orders; needed are {MIN_FOLLOW_UP_DAYS} days and {MIN_EVENTS} orders"
    )


def _curves_and_effects(model: TrainedModel) -> Frames:
    if model.name == NO_MODEL:
        return {
            "survival_curves": _no_curves(model.parameters["reason"]),
            "survival_effects": _no_effects(model.parameters["reason"]),
        }
    curves = pd.DataFrame(json.loads(model.artefacts[CURVES_FILE]))
    effects = pd.DataFrame(json.loads(model.artefacts.get(EFFECTS_FILE, b"{}")))
    return {
        "survival_curves": _scored(curves.reset_index(drop=True)),
        "survival_effects": (
            _no_effects(NO_EFFECTS) if effects.empty else _effects(effects.reset_index(drop=True))
        ),
    }


@dataclass(frozen=True)
class _Chance:
    """The combined chance of an order within 90 days, and what it was learnt from."""

    known: Known
    told: pd.DataFrame
    model: ChanceModel
    combination: chance.Combination


def _fit_chance(training_date: date, store: FeatureStore, seed: int) -> _Chance | None:
    """The same as churn's of the date; None where it has none."""
    store = store.sample_for(training_date, HORIZON_DAYS)
    labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
    if not is_learnable(labelled):
        return None
    known = Known.of(labelled, store.snapshot(training_date), store.shop_days(training_date))
    told = chance.tell(known, seed)
    return _Chance(known, told, *chance.fit(known, told, seed))


def _decision(
    name: str, fitted: _Chance | None, report: list[dict[str, Any]], check: dict[str, Any]
) -> str:
    """What the curves are made of, and what the check of hazards led to: Markdown."""
    if fitted:
        tested = f"{len(report)} past dates" if report else "no past date, the shop is too young"
        of_curves = (
            f"Chance of an order within 90 days combined: {fitted.combination}. The curve through"
            " it has the mean shape of the order process, Cox's model and Kaplan-Meier by recency,"
            " and half that of the customer's own rhythm;"
            f" tested on {tested}."
        )
    else:
        beat = "beat" if name == CoxModel.name else "did not beat, or could not be tested against,"
        of_curves = (
            f"Cox's model {beat} Kaplan-Meier by recency out of time, on concordance and integrated"
            " Brier score; too few customers came back, or too few did not, to combine more."
        )
    lines_ = [
        of_curves,
        "",
        f"Proportional hazards in the model of the effects: {check['decision']}.",
    ]
    if "p_values_before" in check:
        after = check["p_values_after"]
        lines_ += [
            f"Strata: {check['strata']}. Each of {check['count_customers']} customers counts once.",
            "",
            "| covariate | p-value with one baseline hazard | in the model used |",
            "| --- | --- | --- |",
            *(f"| {k} | {p:.2g} | {after[k]:.2g} |" for k, p in check["p_values_before"].items()),
        ]
    return "\n".join(lines_)


def _plot(curves: pd.DataFrame) -> bytes:
    """The curves of all customers and of the spend tiers."""
    shown = curves[curves["group_name"].str.match("all$|spend tier: ")]
    return lines(
        "days since the customer was looked at",
        "share without an order",
        {
            str(name): (curve["day"].to_numpy(), curve["survival_probability"].to_numpy())
            for name, curve in shown.groupby("group_name", sort=False)
        },
    )


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score_status="scored", score_reason=None)


def _effects(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows with a ratio as scored; of the others the reason."""
    found = with_reasons(effects).rename(columns={"reason": "score_reason"})
    status = found["score_reason"].isna().map({True: "scored", False: "not_scored"})
    numbers = {name: found[name].astype(float) for name in EFFECT_COLUMNS[3:]}
    return found.assign(score_status=status, **numbers)


def _no_curves(reason: str) -> pd.DataFrame:
    """One row that says why there is no curve."""
    row = dict.fromkeys(CURVE_COLUMNS) | {"group_name": "all", "day": 0}
    return pd.DataFrame([row]).assign(score_status="not_scored", score_reason=reason)


def _no_effects(reason: str) -> pd.DataFrame:
    """One row that says why there is no effect."""
    row = dict.fromkeys(EFFECT_COLUMNS) | {"covariate": "all", "description": "No effect."}
    return pd.DataFrame([row]).assign(score_status="not_scored", score_reason=reason)


def _not_scored(snapshots: pd.DataFrame, reason: str) -> pd.DataFrame:
    columns = ["expected_days_to_next_order", *(f"order_probability_{h}d" for h in HORIZONS_DAYS)]
    empty = pd.DataFrame(float("nan"), index=snapshots.index, columns=columns)
    return empty.assign(
        customer_id=snapshots["customer_id"], score_status="not_scored", score_reason=reason
    )
