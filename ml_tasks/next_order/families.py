"""Product families that are likely in the next order, with their chances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.next_order import trees
from ml_tasks.next_order.inputs import buyers

TREES, OWN_SHARE, USUAL = "family_trees", "own_family_share", "usual_families"
BASELINES = (OWN_SHARE, USUAL)
SHOWN = 3
PRIOR_ORDER_DAYS = 3.0  # the shop's share counts as so many order days of a customer
RECENT_DAYS = 28
MAX_BUYERS = 6_000  # customers and past dates that the trees learn from, each with all families
CHUNK = 20_000
SETTINGS: dict[str, Any] = {
    "max_depth": 5,
    "eta": 0.08,
    "min_child_weight": 20,
    "objective": "binary:logistic",
    "base_score": 0.5,
}
COUNT_FEATURES = 13
# A season is that of a date about a year before.
YEAR_DAYS, NEAR_DAYS = 365, 20


@dataclass(frozen=True)
class Shop:
    """What all customers order, as of a date.

    Attributes:
        families: Names of the families, in text order.
        share: Share of the order days of 730 days that had it, a value per family.
        recent: Share of the last order days of RECENT_DAYS that had it.
        season: Share of the next orders of a year ago that had it; None where not known.
    """

    families: list[str]
    share: list[float]
    recent: list[float]
    season: list[float | None]


@dataclass(frozen=True)
class Families:
    """A fitted method.

    Attributes:
        method: TREES or one of BASELINES.
        shop: The shop on the training date.
        trees: The booster; empty for a baseline.
    """

    method: str
    shop: Shop
    trees: bytes = b""

    def chances(self, facts: pd.DataFrame) -> np.ndarray:
        """Chance of each family in the next order, shape (n, n_families).

        Args:
            facts: See `inputs.facts`.
        """
        parts = [
            self._chances(facts.iloc[start : start + CHUNK])
            for start in range(0, len(facts), CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.shop.families)))

    def _chances(self, facts: pd.DataFrame) -> np.ndarray:
        if self.method == USUAL:
            return np.tile(np.array(self.shop.recent), (len(facts), 1))
        if self.method == OWN_SHARE:
            return own_share(_held(facts, self.shop.families)["days"], facts, self.shop)
        found = trees.predict(self.trees, pd.DataFrame(features(facts, self.shop)))
        return found.reshape(len(facts), len(self.shop.families))


def shop_of(facts: pd.DataFrame, past: pd.DataFrame) -> Shop:
    """The families of a date's customers and how often they are ordered.

    Args:
        facts: See `inputs.facts`; one date.
        past: See `inputs.past_facts`; of the dates a year before, what followed is read.
    """
    names = sorted({name for row in facts["families"] for name in row})
    held = _held(facts, names)
    days = facts["count_order_days_730d"].to_numpy(dtype=float)
    last = facts["days_since_last_order"].to_numpy(dtype=float)
    is_recent = last <= RECENT_DAYS
    share = held["days"].sum(axis=0) / max(days.sum(), 1.0)
    was_last = (held["since"] == last[:, None])[is_recent]
    recent = was_last.mean(axis=0) if is_recent.any() else share
    season = _season(pd.Timestamp(facts["as_of_date"].iloc[0]), past, names)
    return Shop(
        names, np.minimum(share, 1.0).round(6).tolist(), np.round(recent, 6).tolist(), season
    )


def _season(day: pd.Timestamp, past: pd.DataFrame, names: list[str]) -> list[float | None]:
    apart = (past["as_of_date"] - (day - pd.Timedelta(days=YEAR_DAYS))).dt.days.abs()
    then = past[apart == apart.min()] if len(past) and apart.min() <= NEAR_DAYS else past[:0]
    ordered, named = buyers(then), {name for row in then["families"] for name in row}
    if ordered.empty:
        return [None] * len(names)
    share = is_in(ordered["next_families"], names).mean(axis=0).round(6)
    # the date had families of its own: others are not known to have been rare
    return [float(of) if name in named else None for of, name in zip(share, names, strict=True)]


def own_share(counts: np.ndarray, facts: pd.DataFrame, shop: Shop) -> np.ndarray:
    """Share of a customer's order days with each family, shrunk to the shop's share."""
    days = facts["count_order_days_730d"].to_numpy(dtype=float)[:, None]
    prior = PRIOR_ORDER_DAYS * np.array(shop.share)
    return np.minimum((counts + prior) / (days + PRIOR_ORDER_DAYS), 1.0)


def features(facts: pd.DataFrame, shop: Shop) -> np.ndarray:
    """A row per customer and family, families of a customer together.

    Returns:
        Shape (n * n_families, COUNT_FEATURES).
    """
    held = _held(facts, shop.families)
    days, last = (
        np.asarray(facts[name], dtype=float)[:, None]
        for name in ("count_order_days_730d", "days_since_last_order")
    )
    lag = held["since"] - last
    per_day = 1 / np.maximum(days, 1)
    columns = [
        own_share(held["days"], facts, shop),
        held["days"], held["products"], held["products"] * per_day,
        np.where(lag == 0, held["last_products"], 0.0),
        lag, held["since"], last, days,
        held["products"].sum(axis=1, keepdims=True) * per_day,
        *(np.array(of, dtype=float)[None, :] for of in (shop.share, shop.recent, shop.season)),
    ]  # fmt: skip
    table = np.stack([np.broadcast_to(column, lag.shape) for column in columns], axis=-1)
    return table.reshape(-1, COUNT_FEATURES)


def fit(method: str, past: pd.DataFrame, today: pd.DataFrame, seed: int) -> Families | None:
    """Fit a method to what customers ordered next; None for a shop without families.

    Args:
        method: TREES or one of BASELINES.
        past: See `inputs.past_facts`.
        today: Facts of the training date.
        seed: Random seed of the trees.
    """
    shop = shop_of(today, past)
    if not shop.families:
        return None
    if method != TREES:
        return Families(method, shop)
    inputs, happened = [], []
    step = -(-len(buyers(past)) // MAX_BUYERS)
    for _, rows in past.groupby("as_of_date", sort=True):
        then, ordered = shop_of(rows, past), buyers(rows).iloc[::step]
        if then.families and len(ordered):
            inputs.append(features(ordered, then))
            happened.append(is_in(ordered["next_families"], then.families).ravel())
    if not inputs or np.ptp(np.concatenate(happened)) == 0:  # nothing to tell apart
        return Families(OWN_SHARE, shop)
    booster = trees.fit_rows(np.concatenate(inputs), np.concatenate(happened), seed, **SETTINGS)
    return Families(method, shop, booster)


def is_in(baskets: pd.Series, names: Sequence[str]) -> np.ndarray:
    """1.0 where a basket has a family, shape (n, n_families)."""
    place = {name: number for number, name in enumerate(names)}
    found = np.zeros((len(baskets), len(names)))
    for row, basket in enumerate(baskets):
        found[row, [place[name] for name in basket if name in place]] = 1.0
    return found


def likeliest(chances: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Columns `families` and `chances`: lists of the SHOWN likeliest; ties in text order."""
    order = np.argsort(-chances, axis=1, kind="stable")[:, :SHOWN]
    shown = np.take_along_axis(chances, order, axis=1).round(6)
    named = np.array(names, dtype=object)[order]
    return pd.DataFrame({"families": named.tolist(), "chances": shown.tolist()})


def precision(chances: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Share of the SHOWN likeliest families that were ordered, shape (n,)."""
    order = np.argsort(-chances, axis=1, kind="stable")[:, :SHOWN]
    return np.take_along_axis(happened, order, axis=1).mean(axis=1)


def parameters(fitted: Families | None) -> dict[str, Any]:
    """A fitted method as JSON, without its trees; empty for none."""
    if fitted is None:
        return {}
    return {"method": fitted.method, "shop": vars(fitted.shop)}


def restored(stored: dict[str, Any], booster: bytes) -> Families | None:
    """Rebuild from `parameters`."""
    return Families(stored["method"], Shop(**stored["shop"]), booster) if stored else None


def _held(facts: pd.DataFrame, names: Sequence[str]) -> dict[str, np.ndarray]:
    """What customers ordered of each family, each of shape (n, n_families).

    Returns:
        `days`, `products` and `last_products` of customer_baskets, 0 without; `since`, NaN without.
    """
    place = {name: number for number, name in enumerate(names)}
    columns = {
        "days": "family_order_days",
        "since": "family_days_since",
        "products": "family_products",
        "last_products": "family_last_products",
    }
    held = {name: np.zeros((len(facts), len(names))) for name in columns}
    held["since"][:] = np.nan
    lengths = facts["families"].str.len().to_numpy(dtype=int)
    if not lengths.sum():
        return held
    row = np.repeat(np.arange(len(facts)), lengths)
    column = np.array([place.get(name, -1) for own in facts["families"] for name in own])
    known = column >= 0
    for name, source in columns.items():
        values = np.fromiter((value for own in facts[source] for value in own), dtype=float)
        held[name][row[known], column[known]] = values[known]
    return held
