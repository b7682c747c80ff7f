"""Everything that `make` calls on one machine. `python -m local --help` lists it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from datetime import date

from pydantic import ValidationError

from ingest.files import LandingError
from local import airflow, mlflow, postgres, run
from local.airflow import AirflowError
from local.home import shop_of
from perennial import contracts
from perennial.bootstrap import ROLES
from perennial.delivery import DeliveryError
from perennial.settings import Settings, SettingsError

Command = Callable[[Settings, argparse.Namespace], int]


def main() -> int:
    """Run one command; the exit code is 0 only if it did what it says."""
    arguments = _parser().parse_args()
    settings = Settings()
    shop = shop_of(settings.home)
    if shop and arguments.command != "run" and arguments.command != "backfill":
        settings = settings.model_copy(update={"source": shop})
    return arguments.call(settings, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, call: Command, text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text)
        child.set_defaults(call=call)
        return child

    child = command("run", _run, "start everything, land the files, score the dates")
    child.add_argument("--as-of", default="", help="dates to score, comma-separated")
    child.add_argument("--again", action="store_true", help="also where the work is done already")
    child = command("backfill", _backfill, "score a range of dates")
    child.add_argument("--from", dest="first", type=_date, required=True)
    child.add_argument("--to", dest="last", type=_date, required=True)
    child.add_argument("--every", default="month", help="a number of days, or month")
    command("start", _start, "start Postgres and Airflow, score nothing")
    command("ui", _ui, "start everything and MLflow, score nothing")
    child = command("rollback", _rollback, "take a question's newest model out of use")
    child.add_argument("question")
    child.add_argument("why")
    command("down", _down, "stop everything")
    command("status", _status, "what runs, and the newest scores")
    command("logs", _logs, "where the logs are, and the end of each")
    child = command("dsn", _dsn, "print a role's connection URL")
    child.add_argument("--role", default="bi_reader", choices=ROLES)
    command("clean", _clean, "stop everything and delete the home")
    return parser


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write it as 2011-09-10") from None


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    return run.run(settings, run.parse_dates(arguments.as_of), is_forced=arguments.again)


def _backfill(settings: Settings, arguments: argparse.Namespace) -> int:
    dates = run.date_range(arguments.first, arguments.last, arguments.every)
    return run.run(settings, dates, is_forced=True)


def _start(settings: Settings, _: argparse.Namespace) -> int:
    run.start(settings)
    return 0


def _ui(settings: Settings, _: argparse.Namespace) -> int:
    run.start(settings)
    mlflow.start(settings)
    run.print_doors(settings)
    return 0


def _rollback(settings: Settings, arguments: argparse.Namespace) -> int:
    from ml_tasks.shared.champions import ChampionError
    from ml_tasks.shared.run import roll_back

    if arguments.question not in contracts.questions():
        raise SettingsError(f"QUESTION= one of {', '.join(contracts.questions())}")
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
    is_up = postgres.is_running(settings)
    states = {"postgres": is_up} | airflow.status(settings)
    for name, alive in states.items():
        print(f"{name:<14} {'running' if alive else 'stopped'}")
    # not needed for scores, so it does not count
    print(f"{'mlflow':<14} {'running' if mlflow.is_running(settings) else 'stopped (make ui)'}")
    if is_up:
        run.print_publications(settings)
    return 0 if all(states.values()) else 1


def _logs(settings: Settings, _: argparse.Namespace) -> int:
    for path in sorted((settings.home / "logs").glob("*.log")):
        print(f"== {path}")
        print("\n".join(path.read_text(errors="replace").splitlines()[-5:]))
    print(f"== tasks: {settings.home / 'logs' / 'tasks'}, or each task's page in the Airflow UI")
    return 0


def _dsn(settings: Settings, arguments: argparse.Namespace) -> int:
    database = arguments.role if arguments.role in ("airflow", "mlflow") else "warehouse"
    print(settings.dsn(arguments.role, database))
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValidationError as error:
        faults = (f"PERENNIAL_{str(f['loc'][0]).upper()}: {f['msg']}" for f in error.errors())
        sys.exit(f"error: {'; '.join(faults)}")
    except (SettingsError, LandingError, AirflowError, DeliveryError) as error:
        sys.exit(f"error: {error}")
