"""Commands about the loyalty programme; see docs/decisions/loyalty.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from command.app import Panel, app, command
from command.options import AsOf, day_of, option, settings_of

if TYPE_CHECKING:
    from ml_tasks.loyalty.simulate import Simulation

group = typer.Typer(help="Try changes of the loyalty programme.")
app.add_typer(group, name="loyalty", rich_help_panel=Panel.CUSTOMERS)


@command(Panel.CUSTOMERS, "simulate", to=group)
def simulate(
    rules: Annotated[str, option("rules", "A file as ml_tasks/loyalty/programme.yml.")] = "",
    as_of: AsOf = "",
) -> None:
    """Print what another programme would have done to the last 365 days; nothing is written.

    Its newest version is applied to all orders, whatever its dates, beside the shop's programme.
    Without --as-of: the newest scored date.
    """
    from ml_tasks.features.store import FeatureStore
    from ml_tasks.loyalty import programme
    from ml_tasks.loyalty.simulate import newest_date
    from ml_tasks.loyalty.simulate import simulate as compare
    from perennial.settings import SettingsError
    from perennial.warehouse import connect

    if not rules.strip():
        raise SettingsError("--rules=<file>: give the programme to try")
    current, other = programme.load(), programme.load(Path(rules.strip()))
    day = day_of(as_of)
    with connect(settings_of(), "scorer") as connection:
        connection.read_only = True
        day = day or newest_date(connection)
        _print(compare(FeatureStore(connection), day, current, other))


def _print(found: Simulation) -> None:
    """A table of tiers and figures, and who would move."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from perennial.text import plain

    title = f"The 365 days before {found.as_of_date}: {found.before} in force, {found.after} tried"
    table = Table(title=escape(plain(title)), title_justify="left")
    table.add_column("tier")
    table.add_column("figure")
    for name in ("before", "after", "difference"):
        table.add_column(name, justify="right")
    last = None
    for tier, figure, *values in found.figures.itertuples(index=False):
        if last not in (None, tier):
            table.add_section()
        shown = [f"{value:,.2f}".removesuffix(".00") for value in values]
        table.add_row("" if tier == last else escape(plain(tier)), figure, *shown)
        last = tier
    console = Console()
    console.print(table)
    console.print(
        f"Of {found.count_customers:,} customers {found.count_rise:,} would rise and"
        f" {found.count_fall:,} would fall. Amounts are in the shop's currency; points cost their"
        " value if all of them are redeemed. Nobody is assumed to order more or less.",
        highlight=False,
        soft_wrap=True,
    )
