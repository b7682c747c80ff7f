"""Commands about whose shop it is, and what its files look like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from command.app import Panel, command
from command.options import AsOf, Currency, Files, Source, TimeZone, day_of, option, settings_of


@command(Panel.SHOP, "check-source")
def check_source(
    source: Source = "",
    files: Files = "",
    time_zone: TimeZone = "",
    currency: Currency = "",
    as_of: AsOf = "",
) -> int:
    """Print what would come of a shop's files, in seconds; nothing is kept.

    --as-of is needed where --files has {as_of_date} in it.
    """
    from local.check_source import check_source as check

    settings = settings_of(
        takes_any_shop=bool(source.strip()),
        source=source,
        files=files,
        time_zone=time_zone,
        currency=currency,
    )
    return check(settings, day_of(as_of))


@command(Panel.SHOP, "new-question")
def new_question(name: str, entity: str, kind: str) -> None:
    """Write the files of a question, which runs as it is: what it asks is to be replaced."""
    from local.new_question import new_question as write

    print(write(name.strip(), entity.strip(), kind.strip()))


@command(Panel.SHOP, "new-source")
def new_source(name: str) -> None:
    """Write a staging folder for a shop of its own form, which builds as it is."""
    from local.new_source import new_source as write

    print(write(name.strip()))


@command(Panel.SHOP, "shop")
def shop(
    new_time_zone: Annotated[
        str, option("new-time-zone", "IANA name; all orders are then built anew.")
    ] = "",
    new_currency: Annotated[
        str, option("new-currency", "ISO 4217; a name alone, nothing is converted.")
    ] = "",
    in_containers: Annotated[
        bool,
        typer.Option("--in-containers", help="Database and Airflow run elsewhere: stop nothing."),
    ] = False,
) -> None:
    """Print the shop's time zone and currency, or change them on purpose."""
    from local import run as runner
    from perennial import shop as own_settings

    settings = settings_of().model_copy(update={"time_zone": "", "currency": ""})
    new = new_time_zone.strip(), new_currency.strip()
    if any(new) and not in_containers:
        runner.change_shop(settings, *new)
        return
    if any(new):
        mine = own_settings.own(settings)
        wanted = own_settings.Own(new[0] or mine.time_zone, new[1] or mine.currency)
        own_settings.change(settings, wanted)
    print(own_settings.described(settings, own_settings.defaults(settings)))


@command(Panel.SHOP, "sample-shop")
def sample_shop(
    folder: Annotated[Path, typer.Argument(help="Made if it is not there.", show_default=False)],
    customers: Annotated[
        int | None, typer.Option(help="Customers who arrive in the first 730 days.")
    ] = None,
    days: Annotated[int | None, typer.Option(help="Days that the shop has been open.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another shop.")] = None,
    until: Annotated[str, option("until", "The days before this date, in place of --days.")] = "",
    next_day: Annotated[
        bool, typer.Option("--next-day", help="Add one day to the shop that is in the folder.")
    ] = False,
) -> None:
    """Write a sample shop as canonical CSV files: customers, orders and order items by month.

    What is left out is as PERENNIAL_SAMPLE_* has it. The same options give the same bytes; more
    days continue the same shop.
    """
    from ingest.sample_shop.files import write_next_day, write_plan
    from ingest.sample_shop.plan import START, Plan
    from perennial.days import read_day
    from perennial.settings import Settings

    settings = Settings()
    count = settings.sample_customers if customers is None else customers
    chosen_seed = settings.sample_seed if seed is None else seed
    if next_day:
        print(write_next_day(folder, chosen_seed, count))
        return
    if until:
        days = (read_day(until, "--until") - START).days
    try:
        plan = Plan(chosen_seed, count, settings.sample_days if days is None else days)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    paths = write_plan(plan, folder)
    print(f"{len(paths)} files in {folder}, up to and without {plan.end}")
