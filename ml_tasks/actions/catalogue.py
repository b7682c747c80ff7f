"""The catalogue of actions as data, checked when it is read."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from perennial import contracts
from perennial.settings import SettingsError

FILE = Path(__file__).with_name("catalogue.yml")
LEAVE_ALONE, ANY = "leave_alone", "any"  # no action; all actions together

Share = Annotated[float, Field(gt=0, lt=1)]


class CatalogueError(SettingsError):
    """The catalogue is not valid; the message names the file, the entry and the fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Effect(_Strict):
    """What a contact adds to the log odds of an order within 90 days.

    Attributes:
        mean: Expected effect.
        sd: Its standard deviation.
    """

    mean: float
    sd: float = Field(gt=0)


class Action(_Strict):
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

    action: str = Field(min_length=1)
    text: str
    stages: tuple[str, ...] = Field(min_length=1)
    contact_cost_amount: float = Field(ge=0)
    offer_share_of_order: float = Field(ge=0, lt=1)
    effect: Effect
    most_orders: int | None = None
    most_days_since_last_order: int | None = None


class Catalogue(_Strict):
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
    margin_share: Share
    turn_every_days: int = Field(ge=1)
    budget_share_of_spend: Share
    held_out_share: Share
    actions: tuple[Action, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Catalogue:
        """Names of actions and stages are those of the contracts, each action once."""
        if len(set(self.names)) < len(self.names):
            raise ValueError("two actions have the same name")
        shown = _values("actions", "best_action") - {LEAVE_ALONE}
        if unknown := sorted(set(self.names) - shown):
            raise ValueError(
                f"action {', '.join(unknown)}: not in the contract, add it to the values in"
                " dbt_project/models/scores/actions.yml, too"
            )
        stages = {stage for action in self.actions for stage in action.stages}
        if unknown := sorted(stages - _values("stages", "stage")):
            raise ValueError(f"unknown stage {', '.join(unknown)}")
        return self

    @property
    def names(self) -> list[str]:
        """Names of the actions, in order."""
        return [action.action for action in self.actions]


@cache
def load() -> Catalogue:
    """Read catalogue.yml.

    Raises:
        CatalogueError: If it is not valid.
    """
    return parse(yaml.safe_load(FILE.read_text()))


def parse(content: Any) -> Catalogue:
    """Validate the content of a catalogue.

    Raises:
        CatalogueError: If an entry is missing, unknown or without meaning.
    """
    try:
        return Catalogue.model_validate(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise CatalogueError(f"{FILE.name}: {'; '.join(faults)}") from None


def _values(question: str, column: str) -> set[str]:
    """Permitted values of a column of a question's first table."""
    found = [one for one in contracts.load(question).tables[0].columns if one.name == column]
    return set(found[0].values)
