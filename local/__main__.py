"""Everything that `make` calls on one machine. `python -m local --help` lists it."""

from __future__ import annotations

import argparse
import errno
import getpass
import os
import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from pydantic import ValidationError

from ingest.files import LandingError
from local import airflow, backup, mlflow, postgres, run
from local.backup import BackupError
from local.restore import restore
from oncall.airflow_api import AirflowError
from oncall.delivery import DeliveryError
from perennial import contracts, shop
from perennial.bootstrap import ROLES
from perennial.days import read_day
from perennial.dbt import DbtError
from perennial.machine import REMEDIES, refusal
from perennial.settings import Settings, SettingsError, explained, shop_of
from perennial.text import plain, printable
from privacy.persons import PrivacyError

Command = Callable[[Settings, argparse.Namespace], int]

OWN_ERRORS = (
    SettingsError, LandingError, AirflowError, BackupError, DeliveryError, DbtError, PrivacyError,
)  # fmt: skip
PIPE_CLOSED = 141  # as a shell has it of a process that SIGPIPE ended
# settings that a command may be given; empty: as set
SHOP = ("source", "files", "schedule", "time_zone", "currency")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage: who typed it typed `make`."""
        self.exit(2, f"error: {message}\n")


def main() -> int:
    """Run one command; the exit code is 0 only if it did what it says."""
    arguments = _parser().parse_args()
    given = {name: getattr(arguments, name, "").strip() for name in SHOP}
    typed: dict[str, Any] = {name: text for name, text in given.items() if text}
    settings = Settings(**typed)
    owner = shop_of(settings.home)
    takes_any = arguments.command in ("run", "backfill") or (
        arguments.command == "check-source" and "source" in typed
    )
    if owner and not takes_any:
        settings = settings.model_copy(update={"source": owner})
    return arguments.call(settings, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, call: Command, text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text)
        child.set_defaults(call=call)
        return child

    def shop_command(name: str, call: Command, text: str) -> argparse.ArgumentParser:
        child = command(name, call, text)
        for setting in SHOP:
            option = f"--{setting.replace('_', '-')}"
            child.add_argument(option, default="", help=f"PERENNIAL_{setting.upper()}")
        return child

    child = shop_command("run", _run, "start everything, land the files, score the dates")
    child.add_argument("--as-of", default="", help="dates to score, comma-separated")
    child.add_argument(
        "--again", nargs="?", const="yes", default="", help="also where the work is done already"
    )
    child = shop_command("backfill", _backfill, "score a range of dates")
    child.add_argument("--from", dest="first", default="")
    child.add_argument("--to", dest="last", default="")
    child.add_argument("--every", default="month", help="a number of days, or month")
    child = shop_command("check-source", _check_source, "what would come of a shop's files")
    child.add_argument("--as-of", default="", help="date, where FILES has {as_of_date} in it")
    child = command("new-question", _new_question, "the files of a question, which runs as it is")
    for name in ("name", "entity", "kind"):
        child.add_argument(name)
    child = command("new-source", _new_source, "a staging folder for a shop of its own form")
    child.add_argument("name")
    shop_command("start", _start, "start Postgres and Airflow, score nothing")
    shop_command("ui", _ui, "start everything and MLflow, score nothing")
    child = command("rollback", _rollback, "take a question's newest model out of use")
    child.add_argument("question")
    child.add_argument("why")
    command("down", _down, "stop everything")
    command("status", _status, "what runs, whose shop it is, and the newest scores")
    child = command("shop", _shop, "the shop's time zone and currency; change them on purpose")
    child.add_argument("--new-time-zone", default="", help="IANA name; empty: as it is")
    child.add_argument("--new-currency", default="", help="ISO 4217; empty: as it is")
    command("logs", _logs, "where the logs are, and the end of each")
    child = command("dsn", _dsn, "print a role's connection URL")
    child.add_argument("--role", default="bi_reader")
    child = command("dbt", _dbt, "dbt in dbt_project/, with the home's own settings")
    child.add_argument("--as-of", default="", help="date to build for; empty: the newest")
    child.add_argument("arguments", nargs="*", help="of dbt, after --")
    child = command("dbt-env", _dbt_env, "print what a dbt by hand needs in its environment")
    child.add_argument("--as-of", default="", help="date to build for; empty: the newest")
    child = command("backup", _backup, "write the home into a new folder")
    child.add_argument("--to", default="", help="empty: beside the home, named after the moment")
    child = command("restore", _restore, "make the home anew out of a backup")
    child.add_argument("--from", dest="folder", default="")
    child = command("erase", _erase, "erase a customer for good")
    child.add_argument("customer")
    child.add_argument("why")
    child.add_argument("--dry", default="", help="count what would go, and stop")
    child = command("export", _export, "all that is known of a customer, as JSON")
    child.add_argument("customer")
    child.add_argument("--to", default="", help="a new file, mode 0600; default: print it")
    command("clean", _clean, "stop everything and delete the home")
    return parser


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    dates = run.parse_dates(arguments.as_of)
    return run.run(settings, dates, is_forced=_yes_or_no("AGAIN", arguments.again))


def _yes_or_no(name: str, text: str) -> bool:
    answers = {"": False, "no": False, "yes": True}
    if text.strip().lower() not in answers:
        raise SettingsError(f"{name}={text!r}: say yes, or leave it out")
    return answers[text.strip().lower()]


def _backfill(settings: Settings, arguments: argparse.Namespace) -> int:
    first, last = read_day(arguments.first, "FROM"), read_day(arguments.last, "TO")
    return run.run(settings, run.date_range(first, last, arguments.every), is_forced=True)


def _check_source(settings: Settings, arguments: argparse.Namespace) -> int:
    from local.check_source import check_source

    return check_source(settings, _day(arguments.as_of))


def _new_question(_: Settings, arguments: argparse.Namespace) -> int:
    from local.new_question import new_question

    given = (arguments.name, arguments.entity, arguments.kind)
    print(new_question(*(text.strip() for text in given)))
    return 0


def _new_source(_: Settings, arguments: argparse.Namespace) -> int:
    from local.new_source import new_source

    print(new_source(arguments.name.strip()))
    return 0


def _start(settings: Settings, _: argparse.Namespace) -> int:
    run.start(settings)
    return 0


def _ui(settings: Settings, _: argparse.Namespace) -> int:
    run.start(settings)
    mlflow.start(settings)
    run.print_doors(settings)
    return 0


def _rollback(settings: Settings, arguments: argparse.Namespace) -> int:
    from ml_tasks.models.champions import ChampionError
    from ml_tasks.models.serving import roll_back

    if arguments.question not in contracts.questions():
        raise SettingsError(
            f"QUESTION={arguments.question!r}: choose one of {', '.join(contracts.questions())}"
        )
    try:
        decision = roll_back(settings, arguments.question, arguments.why)
    except ChampionError as error:
        raise SettingsError(str(error)) from None
    print(
        f"{decision.question}: {decision.previous_version} is out of use; from "
        f"{decision.training_date} on {decision.model_version} scores.\n"
        "Published scores stay; to make a date again: make run AS_OF=<date> AGAIN=yes"
    )
    return 0


def _down(settings: Settings, _: argparse.Namespace) -> int:
    airflow.stop(settings)
    postgres.stop(settings)
    print(f"stopped; the state stays in {settings.home}")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    states = run.services(settings)
    for name, alive in states.items():
        print(f"{name:<14} {'running' if alive else 'stopped'}")
    states["reader-limit"] = postgres.is_limited(settings)
    print(f"{'reader-limit':<14} {'running' if states['reader-limit'] else 'stopped (make run)'}")
    # not needed for scores, so it does not count
    print(f"{'mlflow':<14} {'running' if mlflow.is_running(settings) else 'stopped (make ui)'}")
    print(shop.described(settings, shop.defaults(settings)))
    if states["postgres"]:
        run.print_publications(settings)
    return 0 if all(states.values()) else 1


def _shop(settings: Settings, arguments: argparse.Namespace) -> int:
    settings = settings.model_copy(update={"time_zone": "", "currency": ""})
    new = arguments.new_time_zone.strip(), arguments.new_currency.strip()
    if not any(new):
        print(shop.described(settings, shop.defaults(settings)))
        return 0
    run.change_shop(settings, *new)
    return 0


def _logs(settings: Settings, _: argparse.Namespace) -> int:
    for path in sorted((settings.home / "logs").glob("*.log")):
        print(f"== {path}")
        print("\n".join(map(printable, path.read_text(errors="replace").splitlines()[-5:])))
    print(f"== tasks: {settings.home / 'logs' / 'tasks'}, or each task's page in the Airflow UI")
    return 0


def _dsn(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.role not in ROLES:
        raise SettingsError(f"ROLE={arguments.role!r}: choose one of {', '.join(ROLES)}")
    database = arguments.role if arguments.role in ("airflow", "mlflow") else "warehouse"
    print(settings.dsn(arguments.role, database))
    return 0


def _dbt(settings: Settings, arguments: argparse.Namespace) -> int:
    from local import dbt_by_hand

    return dbt_by_hand.run(settings, _day(arguments.as_of), arguments.arguments)


def _dbt_env(settings: Settings, arguments: argparse.Namespace) -> int:
    from local import dbt_by_hand

    print(dbt_by_hand.exports(settings, _day(arguments.as_of)))
    return 0


def _day(text: str) -> date | None:
    return read_day(text, "AS_OF") if text.strip() else None


def _backup(settings: Settings, arguments: argparse.Namespace) -> int:
    folder = backup.backup(settings, Path(arguments.to) if arguments.to.strip() else None)
    for part, size in backup.sizes(folder).items():
        print(f"{part:<14} {size / 1e6:>9,.1f} MB")
    print(f"backed up into {folder}; it holds the passwords: keep it as you keep the home")
    if settings.artefacts:
        print(f"not in it: models' files at {settings.artefacts}; that store keeps its own copies")
    if settings.secrets:
        print(f"not in it: the passwords in {settings.secrets}, without which it can't be restored")
    return 0


def _restore(settings: Settings, arguments: argparse.Namespace) -> int:
    if not arguments.folder.strip():
        raise SettingsError("FROM= the folder of a backup, as `make backup` printed it")
    manifest = restore(settings, Path(arguments.folder))
    print(
        f"restored {settings.home} as {manifest.home} was at {manifest.made_at} "
        f"(shop {manifest.source}); `make run SOURCE={manifest.source}` goes on from there\n"
        "Customers who were erased since are in it again: erase them again."
    )
    return 0


def _erase(settings: Settings, arguments: argparse.Namespace) -> int:
    from privacy import erasure

    customer, why = arguments.customer, arguments.why
    if _yes_or_no("DRY", arguments.dry):
        told = erasure.preview(settings, customer, why, is_dry_run=True)
        print("nothing was changed; an erasure would delete or empty:")
    else:
        told = erasure.erase(settings, customer, getpass.getuser(), why)
        print(f"erased; ops.erasures has the proof, {told['keyed_hash']}:")
    for name, count in told["counts"].items():
        print(f"{count:>9,} {name}")
    for question, versions in told["models"].items():
        print(f"had learnt from them, until its next training: {question} {', '.join(versions)}")
    return 0


def _export(settings: Settings, arguments: argparse.Namespace) -> int:
    from privacy.export import as_text, export_customer, write_export

    if arguments.to:
        count = write_export(settings, arguments.customer, Path(arguments.to))
        print(f"{count:,} rows in {arguments.to}, which only you may read")
    else:
        print(as_text(export_customer(settings, arguments.customer)), end="")
    return 0


def _clean(settings: Settings, arguments: argparse.Namespace) -> int:
    if not settings.home.exists():
        return 0
    if shop_of(settings.home) is None:
        raise SettingsError(f"{settings.home} is no home of ours (no shop.json): not deleted")
    _down(settings, arguments)
    postgres.remove(settings)
    shutil.rmtree(settings.home)
    print(f"deleted {settings.home}")
    return 0


def told(call: Callable[[], int]) -> int:
    """Run a command; what a user can mend is told in one line, without a traceback."""
    try:
        code = call()
        sys.stdout.flush()
        return code
    except ValidationError as error:
        reason = explained(error)
    except OWN_ERRORS as error:
        reason = str(error)
    except psycopg.errors.DiskFull as error:
        reason = f"the warehouse's disk is full ({error}): {REMEDIES[errno.ENOSPC]}"
    except psycopg.OperationalError as error:
        reason = f"the warehouse does not answer ({error}): `make ui` starts it"
    except KeyboardInterrupt:
        reason = (
            "ended by Ctrl-C; what Airflow was given to do goes on: `make status` shows what is "
            "there, `make down` stops all, and the same command goes on where it was"
        )
    except BrokenPipeError:
        # whoever read has enough; what is still to be written goes nowhere, and nobody is told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        refused = refusal(error)
        if refused is None:
            raise
        reason = refused
    print(f"error: {plain(reason)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(told(main))
