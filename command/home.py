"""Commands about the home: what runs in it, how to reach it, and its copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from command.app import Panel, command
from command.options import AsOf, day_of, option, roles, settings_of


@command(Panel.HOME, "down")
def down() -> None:
    """Stop everything; the state stays."""
    _stop()


def _stop() -> None:
    from local import airflow, postgres

    settings = settings_of()
    airflow.stop(settings)
    postgres.stop(settings)
    print(f"stopped; the state stays in {settings.home}")


@command(Panel.HOME, "logs")
def logs() -> None:
    """Print where the logs are, and the end of each."""
    from perennial.text import printable

    settings = settings_of()
    for path in sorted((settings.home / "logs").glob("*.log")):
        print(f"== {path}")
        print("\n".join(map(printable, path.read_text(errors="replace").splitlines()[-5:])))
    print(f"== tasks: {settings.home / 'logs' / 'tasks'}, or each task's page in the Airflow UI")


@command(Panel.HOME, "dsn")
def dsn(
    role: Annotated[
        str, typer.Option("--role", help="As whom to connect.", autocompletion=roles)
    ] = "bi_reader",
) -> None:
    """Print a role's connection URL, and nothing else."""
    from perennial.settings import SettingsError

    settings = settings_of()
    if role not in roles():
        raise SettingsError(f"ROLE={role!r}: choose one of {', '.join(roles())}")
    print(settings.dsn(role, role if role in ("airflow", "mlflow") else "warehouse"))


@command(Panel.HOME, "dbt", hands_on=True)
def dbt(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Of dbt, as `build`.", show_default=False)
    ] = None,
    as_of: AsOf = "",
) -> int:
    """Run dbt in dbt_project/ with the home's own settings.

    Features are made for --as-of, by default the newest date that was published or landed.
    """
    from local import dbt_by_hand

    return dbt_by_hand.run(settings_of(), day_of(as_of), arguments or [])


@command(Panel.HOME, "dbt-env")
def dbt_env(as_of: AsOf = "") -> None:
    """Print what a dbt by hand needs in its environment, for `eval`; a password is in it."""
    from local import dbt_by_hand

    print(dbt_by_hand.exports(settings_of(), day_of(as_of)))


@command(Panel.HOME, "backup")
def backup(
    to: Annotated[
        str, option("to", "A new folder; empty: beside the home, named after the moment.")
    ] = "",
) -> None:
    """Copy the home, database, models and passwords, into a new folder."""
    from local import backup as copies

    settings = settings_of()
    folder = copies.backup(settings, Path(to) if to.strip() else None)
    for part, size in copies.sizes(folder).items():
        print(f"{part:<14} {size / 1e6:>9,.1f} MB")
    print(f"backed up into {folder}; it holds the passwords: keep it as you keep the home")
    if settings.artefacts:
        print(f"not in it: models' files at {settings.artefacts}; that store keeps its own copies")
    if settings.secrets:
        print(f"not in it: the passwords in {settings.secrets}, without which it can't be restored")


@command(Panel.HOME, "restore")
def restore(folder: Annotated[str, option("from", "Folder of a backup.")] = "") -> None:
    """Make the home anew out of a backup."""
    from local.restore import restore as bring_back
    from perennial.settings import SettingsError

    settings = settings_of()
    if not folder.strip():
        raise SettingsError("FROM= the folder of a backup, as `make backup` printed it")
    manifest = bring_back(settings, Path(folder))
    print(
        f"restored {settings.home} as {manifest.home} was at {manifest.made_at} "
        f"(shop {manifest.source}); `make run SOURCE={manifest.source}` goes on from there\n"
        "Customers who were erased since are in it again: erase them again."
    )


@command(Panel.HOME, "clean")
def clean() -> None:
    """Stop everything and delete the home, scores and all."""
    import shutil

    from local import postgres
    from perennial.settings import SettingsError, shop_of

    settings = settings_of()
    if not settings.home.exists():
        return
    if shop_of(settings.home) is None:
        raise SettingsError(f"{settings.home} is no home of ours (no shop.json): not deleted")
    _stop()
    postgres.remove(settings)
    shutil.rmtree(settings.home)
    print(f"deleted {settings.home}")


@command(Panel.HOME, "postgres", is_hidden=True)
def postgres(verb: Annotated[str, typer.Argument(help="start or stop")]) -> None:
    """Start or stop the database alone."""
    from local import postgres as server
    from perennial.settings import SettingsError

    actions = {"start": server.start, "stop": server.stop}
    if verb not in actions:
        raise SettingsError("say start or stop")
    actions[verb](settings_of())
