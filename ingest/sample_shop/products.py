"""Draw the products: when each is sold, its prices and its demand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ingest.sample_shop import plan as planted
from ingest.sample_shop.plan import (
    ADJECTIVES,
    BONDS,
    FAMILIES,
    SUBSTITUTE,
    Bond,
    Plan,
    first_of_month,
)
from ingest.sample_shop.seasons import (
    ALL_FAMILIES,
    Promotion,
    Promotions,
    days_of_month,
    family_season_factor,
)


@dataclass(frozen=True)
class Catalogue:
    """All products of the plan's months.

    Attributes:
        products: One row a product, in order of id. Columns product_id, product_name,
            product_family, base_weight (relative demand), introduced_date, discontinued_date (first
            day without sales; NaT: never discontinued).
        price_pence: List price by product and month, shape (n_products, n_months).
    """

    products: pd.DataFrame
    price_pence: np.ndarray

    @cached_property
    def bonds(self) -> list[tuple[Bond, int, int]]:
        """The bonds that are planted, each with the positions of its two products."""
        found = []
        for bond in BONDS:
            wanted = self._lasting(bond.noun).sort_values("base_weight", ascending=False).index
            others = self._lasting(bond.other_noun).sort_values("from_median", kind="stable").index
            both = wanted[-2:] if bond.kind == SUBSTITUTE else wanted[:1].append(others[:1])
            if len(both) == 2:
                found.append((bond, int(both[0]), int(both[1])))
        return found

    def _lasting(self, noun: str) -> pd.DataFrame:
        """The noun's products that opened with the shop and are never discontinued."""
        known = self.products
        is_named = known.product_name.str.contains(f" {noun} No. ", regex=False)
        is_lasting = known.discontinued_date.isna() & (known.introduced_date == str(planted.START))
        chosen = known[is_named & is_lasting]
        median = chosen.product_family.map(lambda name: FAMILIES[name].median_price_amount)
        price_amount = self.price_pence[chosen.index, 0] / 100
        return chosen.assign(from_median=(price_amount - median).abs())

    def weights(self, month: int, promoted: Promotions) -> np.ndarray:
        """Relative demand, shape (n_days, n_products): season, life cycle and promotions."""
        days = days_of_month(month)[:, None]
        introduced = self.products.introduced_date.to_numpy("datetime64[D]")
        discontinued = self.products.discontinued_date.to_numpy("datetime64[D]")
        age_days = (days - introduced).astype(float)
        opened_with = introduced == np.datetime64(planted.START)
        ramp = np.where(opened_with, 1.0, np.clip((age_days + 1) / planted.RAMP_UP_DAYS, 0, 1))
        left_days = np.where(np.isnat(discontinued), np.inf, (discontinued - days).astype(float))
        fade = np.clip(left_days / planted.FADE_OUT_DAYS, 0, 1)
        on_sale = (age_days >= 0) & (left_days > 0)
        weight = self.products.base_weight.to_numpy() * ramp * fade * on_sale
        for family in FAMILIES:
            rows = (self.products.product_family == family).to_numpy()
            weight[:, rows] *= family_season_factor(family, days)
        for promotion in _running(promoted, days):
            weight *= np.where(self._promoted(promotion, days), promotion.product_lift, 1.0)
        return weight

    def sale_price_pence(self, month: int, promoted: Promotions) -> np.ndarray:
        """List price less discounts, in pence, shape (n_days, n_products)."""
        days = days_of_month(month)[:, None]
        kept = np.ones((len(days), len(self.products)))
        for promotion in _running(promoted, days):
            discounted = self._promoted(promotion, days)
            kept = np.minimum(kept, np.where(discounted, 1 - promotion.discount_rate, 1.0))
        return np.rint(self.price_pence[:, month] * kept).astype(np.int64)

    def _promoted(self, promotion: Promotion, days: np.ndarray) -> np.ndarray:
        of_family = (self.products.product_family == promotion.family).to_numpy()
        return promotion.is_running(days) & (of_family | (promotion.family == ALL_FAMILIES))


def _running(promoted: Promotions, days: np.ndarray) -> list[Promotion]:
    return [promotion for promotion in promoted if promotion.is_running(days).any()]


def catalogue(plan: Plan) -> Catalogue:
    """Draw each month's new products, then the price changes on the first of each month."""
    products = pd.concat(
        [_introduce(plan, month) for month in range(plan.months)], ignore_index=True
    )
    number = products.index.to_series() + 1
    products.insert(0, "product_id", "P" + number.astype(str).str.zfill(5))
    products["product_name"] += " No. " + number.astype(str)
    opening_pence = products.pop("opening_pence").to_numpy()
    price_pence = np.empty((len(products), plan.months), dtype=np.int64)
    introduced_month = products.pop("month").to_numpy()
    for month in range(plan.months):
        random = plan.random("prices", month)
        known = int((introduced_month < month).sum())
        moves = random.random(known) < planted.PRICE_CHANGE_RATE
        step = np.where(moves, random.choice(planted.PRICE_STEPS, known), 1.0)
        price_pence[:, month] = opening_pence
        if month:
            price_pence[:known, month] = np.rint(price_pence[:known, month - 1] * step)
    return Catalogue(products, price_pence)


def _introduce(plan: Plan, month: int) -> pd.DataFrame:
    random = plan.random("products", month)
    count = planted.NEW_PRODUCTS_PER_MONTH if month else planted.OPENING_PRODUCTS
    names, shares = list(FAMILIES), [family.share for family in FAMILIES.values()]
    family = random.choice(names, count, p=shares)
    first = np.datetime64(first_of_month(month))
    # The first product of every family is never discontinued, so every family has products.
    if month == 0:
        family[: len(names)] = names
    introduced = first + (random.integers(0, 28, count) if month else np.zeros(count, int))
    stays = random.random(count) < planted.PERMANENT_PRODUCT_RATE
    stays[: 0 if month else len(names)] = True
    life_days = random.integers(*planted.PRODUCT_LIFE_DAYS, count)
    median_pence = 100 * np.array([FAMILIES[name].median_price_amount for name in family])
    tens = np.rint(median_pence * np.exp(random.normal(0, 0.5, count)) / 10)
    nouns = [random.choice(FAMILIES[name].nouns) for name in family]
    frame = pd.DataFrame(
        {
            "month": month,
            "product_name": [f"{random.choice(ADJECTIVES)} {noun}" for noun in nouns],
            "product_family": family,
            "base_weight": np.exp(random.normal(0, planted.PRODUCT_WEIGHT_SIGMA, count)),
            "introduced_date": introduced.astype("datetime64[s]"),
            "discontinued_date": (introduced + life_days).astype("datetime64[s]"),
            "opening_pence": np.maximum(tens, 5).astype(np.int64) * 10 - 1,
        }
    )
    frame.loc[stays, "discontinued_date"] = pd.NaT
    order = np.argsort(introduced, kind="stable")  # ids in order of introduction
    return frame.iloc[order].reset_index(drop=True) if month else frame
