"""The loyalty programme as data: versions with the date from which each is in force."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from perennial.settings import SettingsError

PROGRAMME = Path(__file__).parent / "programme.yml"
SPEND, POINTS = "spend", "points"

# as a JSON number, so that 1 and 1.0 are equal rules
Number = Annotated[Decimal, PlainSerializer(float, return_type=float)]


class ProgrammeError(SettingsError):
    """A programme is not valid; the message names file, version and key, and the remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Strict):
    """A tier.

    Attributes:
        name: Name of the tier, shown to readers.
        least: Least qualifying spend (currency) or points within 365 days.
        benefits: Benefits in words.
        benefits_cost_rate: Cost of the benefits, as a share of the spend of the tier's customers.
    """

    name: str = Field(min_length=1)
    least: Number = Field(ge=0, lt=10**10, decimal_places=4)
    benefits: tuple[str, ...] = ()
    benefits_cost_rate: Number = Field(default=Decimal(0), ge=0, le=1)


class Version(_Strict):
    """The rules in force from a date on.

    Attributes:
        version: Name of the version.
        valid_from: First date in force; None: from the shop's beginning.
        points_per_unit: Points per unit of currency spent on products.
        points_valid_days: Days that points are valid, the order's day included; None: for ever.
        point_value: Value of a point, in the shop's currency.
        qualify_by: SPEND or POINTS: the unit of the tiers' `least`.
        tiers: The tiers in ascending order; the first has `least` 0.
    """

    version: str = Field(min_length=1)
    valid_from: date | None = None
    points_per_unit: Number = Field(ge=0, le=10_000, decimal_places=4)
    points_valid_days: int | None = Field(default=None, ge=1, le=36_500)
    point_value: Number = Field(ge=0, le=10**6)
    qualify_by: Literal["spend", "points"] = "spend"
    tiers: tuple[Tier, ...] = Field(min_length=1)

    @field_validator("tiers")
    @classmethod
    def _ascend(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        names = [tier.name for tier in tiers]
        if len(set(names)) < len(names):
            raise ValueError("two tiers have the same name")
        if tiers[0].least != 0:
            raise ValueError(f"the first tier, {tiers[0].name}, must have least 0")
        for lower, upper in pairwise(tiers):
            if upper.least <= lower.least:
                raise ValueError(f"{upper.name} must have a higher least than {lower.name}")
        return tiers

    @property
    def first_day(self) -> date:
        """First date in force; the earliest date that there is for the shop's beginning."""
        return self.valid_from or date.min

    @property
    def benefits(self) -> list[str | None]:
        """The benefits of each tier as one text; None for a tier without benefits."""
        return ["; ".join(tier.benefits) or None for tier in self.tiers]

    def as_json(self) -> dict[str, Any]:
        """The entries that the file gives, as JSON; entries left out are left out."""
        return self.model_dump(mode="json", exclude_unset=True)


class Programme(_Strict):
    """All versions, ascending by date.

    Attributes:
        versions: The versions.
        corrected: Published model versions whose rules were wrong and that this file replaces.
    """

    versions: tuple[Version, ...] = Field(min_length=1)
    corrected: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _follow(self) -> Programme:
        for earlier, later in pairwise(self.versions):
            where = f"version {later.version!r}: valid_from"
            if later.valid_from is None:
                raise ValueError(f"{where} may be left out of the first version only")
            if later.first_day <= earlier.first_day:
                raise ValueError(f"{where} must be later than that of {earlier.version!r}")
        names = [one.version for one in self.versions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"version {twice[0]!r} stands twice: version must be unique")
        return self

    def in_force(self, as_of_date: date) -> tuple[Version, ...]:
        """The versions in force on a date or before it, ascending."""
        return tuple(one for one in self.versions if one.first_day <= as_of_date)


def load(path: Path = PROGRAMME) -> Programme:
    """Read a programme.

    Raises:
        ProgrammeError: If the file cannot be read or is not valid.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProgrammeError(f"{path}: cannot be read: {error}") from None
    return parse(content, str(path))


def parse(content: Any, where: str) -> Programme:
    """Validate the content of a programme's file.

    Args:
        content: As YAML has it.
        where: Name of the file, for errors.

    Raises:
        ProgrammeError: If it is not valid.
    """
    try:
        return Programme.model_validate(content)
    except ValidationError as error:
        faults = [_fault(fault, content) for fault in error.errors()]
        raise ProgrammeError(f"{where}: {'; '.join(faults)}") from None


def _fault(fault: Any, content: Any) -> str:
    """Version, key and what is wrong with it."""
    loc, message = list(fault["loc"]), fault["msg"].removeprefix("Value error, ")
    named = []
    if loc[:1] == ["versions"] and len(loc) > 1:
        given = content["versions"][loc[1]]
        name = given.get("version", f"number {loc[1] + 1}") if isinstance(given, dict) else loc[1]
        named, loc = [f"version {name!r}"], loc[2:]
    if loc[:1] == ["tiers"] and len(loc) > 1:
        loc[:2] = [f"tiers[{loc[1]}]"]
    key = ".".join(map(str, loc))
    return ": ".join([", ".join([*named, *([key] if key else [])]), message]).removeprefix(": ")
