"""What is never recommended: the shop's rules, which are data with a version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

FILE = Path(__file__).parent / "left_out.yml"
KEYS = {"version", "words", "families", "products", "max_returned_share"}
NOT_SOLD, DISCONTINUED, RETURNED = "not_sold", "discontinued", "returned"
WORD, FAMILY, PRODUCT = "word", "family", "product"


class RulesError(ValueError):
    """The file of rules is not valid; the message names the key."""


@dataclass(frozen=True)
class Rules:
    """What is left out; see left_out.yml.

    Attributes:
        version: Changes whenever the rules do.
        words: Words of a name, in any case.
        families: Families of products.
        products: Ids of products.
        max_returned_share: Largest share of returned units; None: no limit.
    """

    version: str
    words: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    max_returned_share: float | None = None


@cache
def load() -> Rules:
    """The rules of the file."""
    return parse(yaml.safe_load(FILE.read_text()))


def parse(content: dict[str, Any]) -> Rules:
    """Rules from the file's content.

    Raises:
        RulesError: If a key is unknown or missing, or a value is of the wrong kind.
    """
    if wrong := sorted(content.keys() ^ KEYS):
        raise RulesError(f"{FILE.name}: unknown or missing: {', '.join(wrong)}")
    lists = {name: content[name] for name in ("words", "families", "products")}
    if wrong := sorted(name for name, value in lists.items() if not isinstance(value, list)):
        raise RulesError(f"{FILE.name}: not a list: {', '.join(wrong)}")
    share = content["max_returned_share"]
    if share is not None and not (isinstance(share, int | float) and share >= 0):
        raise RulesError(f"{FILE.name}: max_returned_share is no number from 0 up, and not null")
    texts = {name: tuple(str(one) for one in value) for name, value in lists.items()}
    return Rules(str(content["version"]), **texts, max_returned_share=share)


def why_not_shown(products: pd.DataFrame, rules: Rules) -> pd.Series:
    """Why each product may not be shown: the first reason, or None.

    Args:
        products: Columns product_id, product_name, product_family, count_customers_90d,
            is_discontinued, returned_share_365d.
        rules: The shop's rules.

    Returns:
        Indexed as `products`.
    """
    names = products["product_name"].fillna("").astype(str)
    word = "|".join(re.escape(one) for one in rules.words)
    has_word = names.str.contains(rf"(?<!\w)(?:{word})(?!\w)", case=False) if word else names == "\0"
    limit = np.inf if rules.max_returned_share is None else rules.max_returned_share
    reasons = {
        PRODUCT: products["product_id"].isin(rules.products),
        FAMILY: products["product_family"].isin(rules.families),
        WORD: has_word,
        DISCONTINUED: products["is_discontinued"].astype(bool),
        NOT_SOLD: products["count_customers_90d"] == 0,
        RETURNED: products["returned_share_365d"].astype(float) > limit,
    }
    found = pd.Series([None] * len(products), products.index, dtype=object)
    for reason, applies in reversed(reasons.items()):
        found[applies.to_numpy(dtype=bool)] = reason
    return found
