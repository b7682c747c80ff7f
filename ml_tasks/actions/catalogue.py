"""Read the catalogue of actions and check it. Errors name file and entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from perennial import contracts

FILE = Path(__file__).with_name("catalogue.yml")
LEAVE_ALONE, ANY = "leave_alone", "any"  # no action; all actions together


class CatalogueError(ValueError):
    """The catalogue is not valid; the message names the file and the entry."""


@dataclass(frozen=True)
class Effect:
    """What a contact adds to the log odds of an order within 90 days.

    Attributes:
        mean: Expected effect.
        sd: Its standard deviation, above 0.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        """Check the standard deviation.

        Raises:
            CatalogueError: If it is not above 0.
        """
        if not self.sd > 0:
            raise CatalogueError(f"{FILE.name}: sd of an effect must be above 0, not {self.sd}")


@dataclass(frozen=True)
class Action:
    """An action, and who it is for.

    Attributes:
        action: Name.
        text: What to do, in a sentence.
        stages: Stages of the customers it is for.
        contact_cost_amount: Cost of a contact, shop currency.
        offer_share_of_order: Share of the next order that the offer costs; 0 without an offer.
        effect: Expected before this shop has measured its own.
        most_orders: Only for customers with at most so many orders; None for all.
        most_days_since_last_order: Only for customers whose last order is no longer ago.
    """

    action: str
    text: str
    stages: tuple[str, ...]
    contact_cost_amount: float
    offer_share_of_order: float
    effect: Effect
    most_orders: int | None = None
    most_days_since_last_order: int | None = None

    def __post_init__(self) -> None:
        """Check the entries.

        Raises:
            CatalogueError: If one has no meaning.
        """
        where = f"{FILE.name}, action {self.action}"
        if self.action in (LEAVE_ALONE, ANY):
            raise CatalogueError(f"{where}: the name is taken")
        if unknown := sorted(set(self.stages) - stage_names()):
            raise CatalogueError(f"{where}: unknown stage {', '.join(unknown)}")
        if self.contact_cost_amount < 0 or not 0 <= self.offer_share_of_order < 1:
            raise CatalogueError(f"{where}: costs must be at least 0, an offer below 1")


@dataclass(frozen=True)
class Catalogue:
    """All actions, and the limits of contacts; see catalogue.yml.

    Attributes:
        version: Changes whenever anything does.
        margin_share: Share of spend that stays with the shop.
        turn_every_days: A customer's turn comes once in so many days.
        budget_share_of_spend: Largest cost of a date, as a share of its customers' expected spend.
        held_out_share: Share of customers who are never contacted.
        actions: In the order of the file; the first of equal gain is taken.
    """

    version: str
    margin_share: float
    turn_every_days: int
    budget_share_of_spend: float
    held_out_share: float
    actions: tuple[Action, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            CatalogueError: If one has no meaning, or two actions share a name.
        """
        for name in ("margin_share", "budget_share_of_spend", "held_out_share"):
            if not 0 < getattr(self, name) < 1:
                raise CatalogueError(f"{FILE.name}: {name} must be between 0 and 1")
        if self.turn_every_days < 1:
            raise CatalogueError(f"{FILE.name}: turn_every_days must be at least 1")
        names = [action.action for action in self.actions]
        if not names or len(set(names)) < len(names):
            raise CatalogueError(f"{FILE.name}: actions must be there, each once")

    @property
    def names(self) -> list[str]:
        """Names of the actions, in order."""
        return [action.action for action in self.actions]


def stage_names() -> set[str]:
    """Names of the stages, from the contract of the question stages."""
    (column,) = [c for c in contracts.load("stages").table("stages").columns if c.name == "stage"]
    return set(column.values)


@cache
def load() -> Catalogue:
    """Read catalogue.yml.

    Raises:
        CatalogueError: If it is not valid.
    """
    return parse(yaml.safe_load(FILE.read_text()))


def parse(content: dict[str, Any]) -> Catalogue:
    """Make a catalogue from the content of a file.

    Raises:
        CatalogueError: If an entry is missing, unknown or without meaning.
    """
    entries = content.get("actions") or []
    actions = tuple(
        _made(
            Action,
            f"action {entry.get('action')}",
            {
                **entry,
                "stages": tuple(entry.get("stages", ())),
                "effect": _made(Effect, f"effect of {entry.get('action')}",
                                entry.get("effect") or {}),
            },
        )
        for entry in entries
    )  # fmt: skip
    return _made(Catalogue, "the catalogue", {**content, "actions": actions})


def _made(kind: Any, what: str, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except TypeError as error:  # a missing or an unknown entry, by name
        problem = str(error).partition("__init__() ")[2] or str(error)
        raise CatalogueError(f"{FILE.name}, {what}: {problem}") from None
