"""Commands with which a person decides about a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from command.app import Panel, command

if TYPE_CHECKING:
    from perennial.settings import Settings

Batch = Annotated[str, typer.Argument(help="Its number, as in `batches`.", show_default=False)]


@command(Panel.BATCHES, "batches")
def batches() -> None:
    """List the batches and their status, newest first."""
    from ingest.batches import batches as every_batch
    from perennial.settings import Settings
    from perennial.text import plain

    print(f"{'batch':>6} {'as of':<10} {'files':>6} {'landed':>11} {'rejected':>9}  status")
    for batch_id, as_of_date, state, files, landed, rejected, reason in every_batch(Settings()):
        counts = f"{files:>6} {landed:>11,} {rejected:>9,}"
        print(f"{batch_id:>6} {as_of_date} {counts}  {state}: {plain(reason)}")


@command(Panel.BATCHES, "accept")
def accept(batch: Batch) -> None:
    """Let a held batch into staging."""
    from ingest import batches as decisions
    from perennial.settings import Settings

    settings, batch_id = Settings(), batch_number(batch)
    decisions.accept(settings, batch_id, _by("accept"))
    _say(settings, batch_id, "accepted")


@command(Panel.BATCHES, "refuse")
def refuse(batch: Batch) -> None:
    """Keep a batch out of staging, or take it out again."""
    from ingest import batches as decisions
    from perennial.settings import Settings

    settings, batch_id = Settings(), batch_number(batch)
    decisions.refuse(settings, batch_id, _by("refuse"))
    _say(settings, batch_id, "refused")


def batch_number(text: str) -> int:
    """A batch's number as it was typed.

    Raises:
        LandingError: If it is no number.
    """
    import re

    from ingest.files import LandingError

    if not re.fullmatch("[0-9]{1,18}", text.strip()):
        raise LandingError(f"BATCH={text!r} is no batch: `make batches` lists them")
    return int(text)


def _by(verb: str) -> str:
    import getpass

    return f"{verb} by {getpass.getuser()}"


def _say(settings: Settings, batch_id: int, state: str) -> None:
    from oncall.alerts.notify import decided

    decided(settings, state)
    print(f"batch {batch_id}: {state}. The next build takes it into account (`make run`).")
