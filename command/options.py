"""Options that several commands take, and the settings that come of them.

Whatever is typed stays text until the command reads it: an error then names what was typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perennial.settings import Settings


def _sources() -> list[str]:
    from perennial.settings import SAMPLE_SHOP
    from perennial.sources import available

    return [SAMPLE_SHOP, *available()]


def questions() -> list[str]:
    """Names of all questions, for completion."""
    from perennial import contracts

    return contracts.questions()


def published() -> list[str]:
    """The same and the lookback, which is scored as they are."""
    from perennial import contracts

    return contracts.published()


def roles() -> list[str]:
    """Names of the warehouse's roles, for completion."""
    from perennial.bootstrap import ROLES

    return list(ROLES)


def option(name: str, text: str, **more: Any) -> Any:
    """A text option; left out, it is empty."""
    return typer.Option(f"--{name}", help=text, show_default=False, **more)


Source = Annotated[
    str,
    option(
        "source",
        "The shop's form: a folder in dbt_project/models/staging, or sample (PERENNIAL_SOURCE).",
        autocompletion=_sources,
    ),
]
Files = Annotated[
    str, option("files", "Path, folder, glob or URL of the shop's files (PERENNIAL_FILES).")
]
Schedule = Annotated[str, option("schedule", "on or off (PERENNIAL_SCHEDULE).")]
TimeZone = Annotated[str, option("time-zone", "IANA name (PERENNIAL_TIME_ZONE).")]
Currency = Annotated[str, option("currency", "ISO 4217 (PERENNIAL_CURRENCY).")]
AsOf = Annotated[str, option("as-of", "Date, as 2011-09-10.")]
Question = Annotated[str, typer.Argument(show_default=False, autocompletion=questions)]


def settings_of(*, takes_any_shop: bool = False, **typed: str) -> Settings:
    """Settings with what was typed; those left empty are as the environment has them.

    Args:
        takes_any_shop: Keep SOURCE as it is set, also where the home belongs to another shop.
        typed: Settings by name, as text.
    """
    from perennial.settings import Settings, shop_of

    given: dict[str, Any] = {name: text.strip() for name, text in typed.items() if text.strip()}
    settings = Settings(**given)
    owner = None if takes_any_shop else shop_of(settings.home)
    return settings.model_copy(update={"source": owner}) if owner else settings


def day_of(text: str) -> date | None:
    """A date that may be left out.

    Raises:
        SettingsError: If it is no date.
    """
    from perennial.days import read_day

    return read_day(text, "AS_OF") if text.strip() else None


def yes_or_no(name: str, text: str) -> bool:
    """Whether yes was typed.

    Raises:
        SettingsError: If it was neither yes nor no.
    """
    from perennial.settings import SettingsError

    answers = {"": False, "no": False, "yes": True}
    if text.strip().lower() not in answers:
        raise SettingsError(f"{name}={text!r}: say yes, or leave it out")
    return answers[text.strip().lower()]


def check_question(name: str, names: Sequence[str] = ()) -> None:
    """Check that there is such a question.

    Args:
        name: As it was typed.
        names: Those that may be chosen; empty: every question.

    Raises:
        SettingsError: If it is none of them.
    """
    from perennial.settings import SettingsError

    known = names or questions()
    if name not in known:
        raise SettingsError(f"QUESTION={name!r}: choose one of {', '.join(known)}")
