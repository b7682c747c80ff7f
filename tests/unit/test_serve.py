"""Answers from a copy with planted rows, and copies that are damaged or replaced."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from perennial.settings import Settings
from serve.answers import Answers, Cart, UnknownError
from serve.published_copy import PublishedCopy


class Planted:
    """A copy in memory: rows by view and entity."""

    def __init__(self, **views: dict[str, list[dict[str, Any]]]) -> None:
        self.views = views

    def rows(self, view: str, entity_id: str) -> list[dict[str, Any]]:
        return self.views.get(view, {}).get(entity_id, [])


def answers(**views: dict[str, list[dict[str, Any]]]) -> Answers:
    return Answers(cast(PublishedCopy, SimpleNamespace(newest=Planted(**views))))


def goes_with(**lifts: float) -> list[dict[str, Any]]:
    return [{"companion_ids": list(lifts), "companion_lifts": list(lifts.values())}]


SHOP = {
    "tea": goes_with(milk=3.0, cup=2.0),
    "biscuit": goes_with(cup=2.5, tea=9.0),
    "gift card": [{"companion_ids": None, "companion_lifts": None}],  # not scored
}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["tea"], ["milk", "cup"]),
        (["tea", "biscuit"], ["cup", "milk"]),  # 2 x 2.5 for the cup, and no tea again
        (["gift card", "never heard of", "tea"], ["milk", "cup"]),
        (["gift card"], []),
        (["tea", *["gift card"] * 5], []),  # only the last five count
    ],
)
def test_a_cart_is_completed(chosen: list[str], expected: list[str]) -> None:
    found = answers(product_companions=SHOP).completed(Cart(product_ids=chosen))
    assert found.product_ids == expected


def test_a_cart_is_completed_by_no_more_than_wanted() -> None:
    chosen = Cart(product_ids=["tea"], count=1)
    assert answers(product_companions=SHOP).completed(chosen).product_ids == ["milk"]


def test_a_new_visitor_gets_the_list_of_the_audience_or_of_everybody() -> None:
    lists = {
        "all": [{"audience": "all", "product_ids": ["tea"]}],
        "country": [
            {"audience": "FR", "product_ids": ["wine"]},
            {"audience": "DE", "product_ids": ["beer"]},
        ],
    }
    served = answers(starting_products=lists)
    assert served.starting("country", "DE")["product_ids"] == ["beer"]
    assert served.starting("country", "GB")["product_ids"] == ["tea"]
    assert served.starting("all", "all")["product_ids"] == ["tea"]
    with pytest.raises(UnknownError):
        answers().starting("all", "all")


def test_an_answer_reads_all_of_itself_from_one_copy() -> None:
    """The copy is replaced after the answer's first read."""
    old = Planted(customer_360={"a": [{"of": "old"}]}, churn_reasons={"a": [{"of": "old"}]})
    new = Planted(customer_360={"a": [{"of": "new"}]}, churn_reasons={"a": [{"of": "new"}]})
    copy = SimpleNamespace(newest=old)

    def rows(view: str, entity_id: str) -> list[dict[str, Any]]:
        copy.newest = new
        return Planted.rows(old, view, entity_id)

    old.rows = rows  # type: ignore[method-assign]
    found = Answers(cast(PublishedCopy, copy)).customer("a")
    assert (found.customer_360, found.churn_reasons) == ({"of": "old"}, [{"of": "old"}])
    assert Answers(cast(PublishedCopy, copy)).customer("a").customer_360 == {"of": "new"}


@pytest.mark.parametrize("content", [b"no database at all, but quite long enough", b""])
def test_a_damaged_copy_counts_as_none(tmp_path: Path, content: bytes) -> None:
    settings = Settings(home=tmp_path)
    settings.served_copy.parent.mkdir()
    settings.served_copy.write_bytes(content)
    copy = PublishedCopy(settings)
    assert copy.newest.marker is None
    assert copy.newest.rows("customer_360", "a") == []
