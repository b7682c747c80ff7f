"""Variants of one product (colours, sizes), folded into one item before anything is counted."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

FILE = Path(__file__).parent / "variants.yml"


@cache
def rules() -> dict[str, Any]:
    """The file of variant words: `version`, `words` (group -> list), `patterns`."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


@cache
def _variant_word() -> re.Pattern[str]:
    words = [re.escape(word) for group in rules()["words"].values() for word in group]
    return re.compile("|".join([*words, *rules()["patterns"]]))


def folded_name(name: str) -> str:
    """The name without variant words, in lower case, its words in alphabetical order.

    Example:
        >>> folded_name("Red Mug, 300ml"), folded_name("MUG BLUE"), folded_name("Red")
        ('mug', 'mug', 'red')
    """
    words = re.findall(r"\w+(?:[.,]\w+)*", name.lower())
    kept = [word for word in words if not _variant_word().fullmatch(word)]
    return " ".join(sorted(kept or words))


def item_of(products: pd.DataFrame) -> pd.Series:
    """The item that each product is counted as: its variant with the first id, in text order.

    Args:
        products: Columns product_id and product_name. A product without a name (None, or no word)
            is an item of its own.

    Returns:
        Indexed by product_id: the item's product_id.
    """
    ids = products["product_id"].astype(str)
    folded = products["product_name"].map(folded_name, na_action="ignore").astype(object)
    keys = folded.where(folded.notna() & (folded != ""), "\0" + ids)
    return ids.groupby(keys.to_numpy()).transform("min").set_axis(ids)
