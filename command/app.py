"""The application that all commands are added to, and errors of usage in one line."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import ParamSpec

import typer
from typer.exceptions import TyperException

from command.errors import exit_code
from perennial.text import plain

P = ParamSpec("P")

GROUPS = ("scores", "shop", "batches", "models", "customers", "loyalty", "home", "serve")
WRONG_USAGE = 2

app = typer.Typer(
    help="Score the customer life cycle of a shop in its own warehouse. Settings are PERENNIAL_* "
    "variables; perennial/settings.py lists them.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Panel(StrEnum):
    """Headings of the help, in its order."""

    SCORES = "Scores"
    SHOP = "A shop's files"
    BATCHES = "Batches"
    MODELS = "Models"
    CUSTOMERS = "A customer's data"
    HOME = "The home"


def command(
    panel: Panel,
    name: str,
    *,
    error_code: int = 1,
    is_hidden: bool = False,
    hands_on: bool = False,
    to: typer.Typer = app,
) -> Callable[[Callable[P, int | None]], Callable[P, int | None]]:
    """Add a function to the application. It returns an exit code, or None for 0.

    Args:
        panel: Heading of the help that the command stands under.
        name: As it is typed.
        error_code: Exit code where the function raises what a user can mend.
        is_hidden: Leave it out of the help.
        hands_on: Take options that are unknown here as arguments.
        to: The application, or a group of commands in it.
    """
    more = {"allow_extra_args": True, "ignore_unknown_options": True} if hands_on else None

    def register(call: Callable[P, int | None]) -> Callable[P, int | None]:
        @functools.wraps(call)
        def guarded(*arguments: P.args, **options: P.kwargs) -> int:
            return exit_code(lambda: call(*arguments, **options), error_code)

        to.command(name, rich_help_panel=panel, hidden=is_hidden, context_settings=more)(guarded)
        return call

    return register


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was typed.

    Args:
        arguments: Words after `perennial`; None: the process' own. Without any: the help.

    Returns:
        0 only if the command did what it says.
    """
    for group in GROUPS:
        importlib.import_module(f"command.{group}")
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return app(args=words, prog_name="perennial", standalone_mode=False) or 0
    except TyperException as error:
        print(f"error: {plain(error.format_message())}", file=sys.stderr)
        return WRONG_USAGE
